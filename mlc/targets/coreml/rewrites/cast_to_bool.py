"""Cast to bool → NotEqual 0."""

from __future__ import annotations

from typing import Any

from mlc.convert.graph import Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["cast_to_bool"]


def cast_to_bool(program: Program, request: Request) -> None:
    """A cast to bool (of masks that arrive as numbers), which coremltools refuses.

    ::

        Before:  x ─► Cast(bool) ─► mask

        After:   x ─► NotEqual(·, 0) ─► mask
    """
    import tensorflow as tf

    def not_zero(x: Any) -> Any:
        return x if x.dtype == tf.bool else tf.not_equal(x, tf.constant(0, x.dtype))

    for body in program.bodies():
        for node in body.find("Cast"):
            if node.attr["DstT"].type == tf.bool.as_datatype_enum:
                body.replace(node, not_zero)
