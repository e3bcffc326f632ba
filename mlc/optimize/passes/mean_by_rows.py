"""The mean of a large map → the mean of the means of its rows: sums that stay small are rounded less."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlc.convert.graph import Body, Program

__all__ = ["mean_by_rows"]

_LARGE = 1024  # numbers: a mean of 32 × 32 is still right to six digits


def mean_by_rows(program: Program) -> None:
    """Take the mean along each row before the mean of all.

    ::

        Before:  x (N, H, W, C) ─► Mean(axes 1, 2) ─► y

        After:   x (N, H, W, C) ─► Mean(axis 2) ─► (N, H, 1, C) ─► Mean(axes 1, 2) ─► y

    Runtimes add one number after the other to a float32 sum: the larger it has grown, the more of each
    number is lost, and where a map is even, as under a white background, always in the same direction.
    LiteRT's mean of 112 × 112 equal numbers is off by 1e-4 of itself, that of rows by 3e-6 (why blocks
    help: N. Higham, The Accuracy of Floating Point Summation, SIAM J. Sci. Comput. 14, 1993). The maps
    that squeeze-and-excitation looks at are that large. Requires: nothing. Ensures: no such mean is left.
    """
    for body in program.bodies():
        for node in body.find("Mean"):
            if _is_of_large_map(body, node):
                import tensorflow as tf

                x = body.tensor(node.input[0])
                (node.input[0],) = body.insert(
                    node.name,
                    lambda rows: [tf.reduce_mean(rows, 2, keepdims=True)],
                    [node.input[0]],
                    [(x.dtype, x.shape)],
                )


def _is_of_large_map(body: Body, node: Any) -> bool:
    axes, shape = body.constant(node.input[1]), body.shape(node.input[0])
    if axes is None or shape is None or len(shape) != 4 or sorted(np.ravel(axes) % 4) != [1, 2]:
        return False
    height, width = shape[1] or 0, shape[2] or 0  # 0: not known
    return min(height, width) > 1 and height * width > _LARGE
