"""Roll → two slices, put together the other way round."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from mlc.convert.graph import Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["roll"]


def roll(program: Program, request: Request) -> None:
    """As shifted windows (Swin) use it.

    ::

        Before:  x ─► Roll(shift, axis) ─► y

        After:   x ─┬─► Slice(end) ───┐
                    └─► Slice(start) ─┴─► ConcatV2 ─► y

    Precondition: shift and axis are constants, and the size of each rolled axis is known.
    """
    for body in program.bodies():
        for node in body.find("Roll"):
            shifts, axes = body.constant(node.input[1]), body.constant(node.input[2])
            shape = body.shape(node.input[0])
            if shifts is None or axes is None or shape is None:
                continue
            moves = list(zip(np.ravel(axes).tolist(), np.ravel(shifts).tolist(), strict=True))
            if all(shape[axis] is not None for axis, _ in moves):
                body.replace(node, partial(_roll, moves), node.input[0])


def _roll(moves: list[tuple[int, int]], x: Any) -> Any:
    import tensorflow as tf

    for axis, shift in moves:
        size = x.shape[axis]
        if shift % size:
            start, end = tf.split(x, [size - shift % size, shift % size], axis)
            x = tf.concat([end, start], axis)
    return x
