"""Average pooling over the whole picture → the mean, which integers may store on a grid of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlc.convert.graph import Body, Program, attribute

__all__ = ["global_pool_to_mean"]


def global_pool_to_mean(program: Program) -> None:
    """Say `Mean` where the window of an AvgPool is all there is.

    ::

        Before:  x (N, H, W, C) ─► AvgPool(H × W) ─► y (N, 1, 1, C)

        After:   x (N, H, W, C) ─► Mean(axes 1, 2) ─► y (N, 1, 1, C)

    Integer kernels pool without leaving the grid of x, which must reach its greatest value. Means lie far
    below that, and are told apart by a few steps only: of all that 8 bits cost ResNet-8 of MLPerf Tiny,
    that was half. They store a mean with a scale of its own. Requires: nothing. Ensures: no AvgPool of
    one window.
    """
    for body in program.bodies():
        for node in body.find("AvgPool"):
            if _is_global(body, node):
                axes = body.add_constant(f"{node.name}/axes", np.array([1, 2], np.int32))
                body.become(node, "Mean", [node.input[0], axes])
                node.attr["keep_dims"].b = True
                node.attr["Tidx"].type = body.nodes[axes].attr["dtype"].type


def _is_global(body: Body, node: Any) -> bool:
    if attribute(node, "data_format").s not in (b"", b"NHWC"):
        return False
    read, made = body.shape(node.input[0]), body.shape(node.name)
    if read is None or made is None or None in read[1:]:
        return False
    return made[1:3] == (1, 1) and list(node.attr["ksize"].list.i) == [1, *read[1:3], 1]
