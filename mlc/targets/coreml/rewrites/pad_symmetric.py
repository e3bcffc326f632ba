"""Symmetric padding → the rows and columns that it repeats, by name."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from mlc.convert.graph import Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["pad_symmetric"]


def pad_symmetric(program: Program, request: Request) -> None:
    """Pad as TensorFlow does; coremltools silently pads by `reflect`, which leaves out the border itself.

    ::

        Before:  x ─► MirrorPad(SYMMETRIC) ─► y

        After:   x ─► GatherV2(… 1 0 0 1 2 …, axis) ─► y          once for each padded axis

    Precondition: the paddings are constant, and the size of each padded axis is known. Otherwise the
    comparison with the network fails the build.
    """
    for body in program.bodies():
        for node in body.find("MirrorPad"):
            paddings, shape = body.constant(node.input[1]), body.shape(node.input[0])
            if node.attr["mode"].s != b"SYMMETRIC" or paddings is None or shape is None:
                continue
            padded = [axis for axis, both in enumerate(paddings) if both.any()]
            if all(shape[axis] is not None for axis in padded):
                picked = {
                    axis: np.pad(
                        np.arange(shape[axis], dtype=np.int32), paddings[axis], "symmetric"
                    )
                    for axis in padded
                }
                body.replace(node, partial(_pick, picked), node.input[0])


def _pick(picked: dict[int, Any], x: Any) -> Any:
    import tensorflow as tf

    for axis, places in picked.items():
        x = tf.gather(x, places, axis=axis)
    return x
