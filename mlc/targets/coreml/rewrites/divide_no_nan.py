"""DivNoNan → a division whose divisor is never 0."""

from __future__ import annotations

from typing import Any

from mlc.convert.graph import Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["divide_no_nan"]


def divide_no_nan(program: Program, request: Request) -> None:
    """Converted as if it were RealDiv: with coremltools 0 / 0 silently becomes NaN.

    ::

        Before:  x, y ─► DivNoNan ─► z

        After:   y ─► Equal(·, 0) ─┬─► SelectV2(·, 1, y) ─► RealDiv(x, ·) ─┐
                                   └───────────────► SelectV2(·, 0, quotient) ─► z
    """
    import tensorflow as tf

    def divide(x: Any, y: Any) -> Any:
        none = tf.equal(y, 0)
        quotient = x / tf.where(none, tf.ones_like(y), y)
        return tf.where(none, tf.zeros_like(quotient), quotient)

    for body in program.bodies():
        for node in body.find("DivNoNan"):
            body.replace(node, divide)
