"""Constants beyond float16 → the edge of what masks need."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlc.targets.coreml.graph import Body, Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["finite_masks"]

_LARGEST = 65504.0  # of float16
# Low enough that a softmax gives exactly 0, high enough that two of them add up to a finite number.
_MASK = 30000.0


def finite_masks(program: Program, request: Request) -> None:
    """In a float16 program -3.4e38 is -inf, and the 0 * -inf of a mask is NaN.

    ::

        Before:  Const(-3.4e38) ─► Mul, AddV2, SelectV2

        After:   Const(-30000.0) ─► Mul, AddV2, SelectV2

    Where a constant only bounds or compares (Minimum, Maximum, Less, ...) it becomes ±65504 instead:
    any float16 is within. Infinite constants are meant, and stay.
    """
    if not request.half:
        return
    changed = 0
    for body in program.bodies():
        for node in body.find("Const"):
            changed += _clamp(body, node)
    if changed:
        request.notes.append(
            f"{changed} constants beyond float16 (masks of -1e9 or lower) became ±30000, "
            "which a softmax turns into 0 just as well."
        )


_BOUNDS = {"Minimum", "Maximum", "ClipByValue", "Less", "LessEqual", "Greater", "GreaterEqual"}


def _clamp(body: Body, node: Any) -> bool:
    import tensorflow as tf

    if node.attr["dtype"].type not in (tf.float32.as_datatype_enum, tf.float64.as_datatype_enum):
        return False
    value = tf.make_ndarray(node.attr["value"].tensor)
    beyond = np.isfinite(value) & (np.abs(value) > _LARGEST)
    if not beyond.any():
        return False
    readers = {n.op for n in body.consumers(node.name)}
    limit = _LARGEST if readers <= _BOUNDS else _MASK
    clamped = np.where(beyond, np.sign(value) * limit, value).astype(value.dtype)
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(clamped))
    return True
