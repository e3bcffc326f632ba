"""Nearest-neighbour resizing → the pixels that TensorFlow would take, by name."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from mlc.convert.graph import Program
from mlc.errors import UnsupportedError
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["resize_nearest"]


def resize_nearest(program: Program, request: Request) -> None:
    """A nearest resize that shrinks both axes silently becomes bilinear in coremltools, and which pixel
    is nearest when the factor is not whole is left to the device.

    A whole factor on both axes keeps the op, in the form that becomes `upsample_nearest_neighbor`::

        Before:  x ─► ResizeNearestNeighbor(half_pixel_centers) ─► y

        After:   x ─► ResizeNearestNeighbor ─► y

    Any other factor picks rows and columns by constant indices::

        Before:  x ─► ResizeNearestNeighbor(height, width) ─► y

        After:   x ─► GatherV2(rows, axis 1) ─► GatherV2(columns, axis 2) ─► y

    Where the sizes are not constant, and so not even the direction is known, it is refused.
    """
    for body in program.bodies():
        for node in body.find("ResizeNearestNeighbor"):
            size, shape = body.constant(node.input[1]), body.shape(node.input[0])
            if size is None or shape is None or shape[1] is None or shape[2] is None:
                raise UnsupportedError(
                    "Core ML cannot resize by nearest neighbour to a size known only at run time.",
                    "Give the input a fixed shape with --input-shape NAME=DIMS.",
                )
            corners, centers = node.attr["align_corners"].b, node.attr["half_pixel_centers"].b
            whole = size[0] % shape[1] == 0 and size[1] % shape[2] == 0
            if whole and not corners:
                node.attr["half_pixel_centers"].b = False
                continue
            rows = _nearest(shape[1], int(size[0]), corners, centers)
            columns = _nearest(shape[2], int(size[1]), corners, centers)
            body.replace(node, partial(_pick, rows, columns), node.input[0])


def _nearest(size: int, wanted: int, corners: bool, centers: bool) -> Any:
    """Which pixels TensorFlow's kernel takes, computed in float32 as there."""
    places = np.arange(wanted, dtype=np.float32)
    if corners and wanted > 1:
        found = np.floor(places * (np.float32(size - 1) / np.float32(wanted - 1)) + np.float32(0.5))
    else:
        offset = np.float32(0.5 if centers else 0)
        found = np.floor((places + offset) * (np.float32(size) / np.float32(wanted)))
    return np.minimum(found, size - 1).astype(np.int32)


def _pick(rows: Any, columns: Any, x: Any) -> Any:
    import tensorflow as tf

    return tf.gather(tf.gather(x, rows, axis=1), columns, axis=2)
