"""Constants beyond float16 → the edge of what masks need."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlc.convert.graph import Body, Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["finite_masks"]

_LARGEST = 65504.0  # of float16
# Low enough that a softmax gives exactly 0, high enough that two of them add up to a finite number.
_MASK = 30000.0
# What is meant as infinity.
_SMALLEST = 1e8


def finite_masks(program: Program, request: Request) -> None:
    """In a float16 program -3.4e38 is -inf, and the 0 * -inf of a mask is NaN.

    ::

        Before:  Const(-3.4e38) ─► Mul, AddV2, SelectV2

        After:   Const(-30000.0) ─► Mul, AddV2, SelectV2

    Where the constant only bounds or compares (Minimum, Maximum, Less, ...) it becomes ±65504 instead:
    any float16 is within.

    Precondition: the constant is one number of 1e8 or more, as no trained weight or statistic is.
    Infinite constants are meant, and stay.
    """
    if not request.half:
        return
    changed = [node.name for b in program.bodies() for node in b.find("Const") if _clamp(b, node)]
    if changed:
        request.notes.append(
            f"{_count(len(changed))} beyond float16 (a mask of -1e8 or lower) became ±30000, "
            "which a softmax turns into 0 just as well."
        )


_BOUNDS = {"Minimum", "Maximum", "ClipByValue", "Less", "LessEqual", "Greater", "GreaterEqual"}


def _clamp(body: Body, node: Any) -> bool:
    import tensorflow as tf

    if node.attr["dtype"].type != tf.float32.as_datatype_enum:
        return False
    tensor = node.attr["value"].tensor
    if any(d.size != 1 for d in tensor.tensor_shape.dim):
        return False
    value = tf.make_ndarray(tensor)
    if not np.all(np.isfinite(value) & (np.abs(value) >= _SMALLEST)):
        return False
    readers = {n.op for n in body.consumers(node.name)}
    limit = np.float32(_LARGEST if readers <= _BOUNDS else _MASK)
    tensor.CopyFrom(tf.make_tensor_proto(np.sign(value) * limit))
    return True


def _count(number: int) -> str:
    return "1 constant" if number == 1 else f"{number} constants"
