"""Erfc → 1 − Erf."""

from __future__ import annotations

from typing import Any

from mlc.convert.graph import Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["erfc"]


def erfc(program: Program, request: Request) -> None:
    """Keras 3 writes the exact gelu with Erfc, which coremltools does not know.

    ::

        Before:  x ─► Erfc ─► y

        After:   x ─► Erf ─► Sub(1, ·) ─► y
    """
    import tensorflow as tf

    def one_minus_erf(x: Any) -> Any:
        return tf.constant(1, x.dtype) - tf.math.erf(x)

    for body in program.bodies():
        for node in body.find("Erfc"):
            body.replace(node, one_minus_erf)
