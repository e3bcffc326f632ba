"""Bicubic, area and antialiased resizing → two matrix products."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from mlc.convert.graph import Body, Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["resize_by_matrix"]

# Linear and separable: each is one matrix per axis. MIL has none of them.
_KINDS = ("ResizeBicubic", "ResizeArea", "ScaleAndTranslate")


def resize_by_matrix(program: Program, request: Request) -> None:
    """Compute the resizing matrix of each axis now, by resizing unit vectors with TensorFlow itself.

    ::

        Before:  x ─► ResizeBicubic(height, width) ─► y

        After:   x ─► MatMul(rows, ·) ─► MatMul(columns, ·) ─► y

    Precondition: the picture's size, and all else the op is told, is constant.
    """
    for body in program.bodies():
        for node in body.find(*_KINDS):
            settings = [body.constant(i) for i in node.input[1:]]
            shape = body.shape(node.input[0])
            if shape is None or None in shape[1:] or any(s is None for s in settings):
                continue
            rows = _matrix(body, node, settings, axis=0, size=shape[1])
            columns = _matrix(body, node, settings, axis=1, size=shape[2])
            body.replace(node, partial(_resize, rows, columns), node.input[0])


def _matrix(body: Body, node: Any, settings: list[Any], axis: int, size: Any) -> Any:
    """What the op makes of unit vectors along one axis, the other axis being left at its size."""
    import tensorflow as tf

    # A channel for each unit vector; the other axis is one pixel, of which any row is as good.
    picture = np.eye(size, dtype=np.float32).reshape((1, size, 1, size))
    if axis == 1:
        picture = picture.transpose(0, 2, 1, 3)
    attributes = {
        key: getattr(node.attr[key], node.attr[key].WhichOneof("value"))
        for key in ("align_corners", "half_pixel_centers", "kernel_type", "antialias")
        if key in node.attr
    }
    with tf.init_scope():
        resized = getattr(tf.raw_ops, node.op)(
            **dict(zip(_ARGUMENTS[node.op], [picture, *settings], strict=True)), **attributes
        )
    return resized.numpy()[0, :, 0, :] if axis == 0 else resized.numpy()[0, 0, :, :]


_ARGUMENTS = {
    "ResizeBicubic": ("images", "size"),
    "ResizeArea": ("images", "size"),
    "ScaleAndTranslate": ("images", "size", "scale", "translation"),
}


def _resize(rows: Any, columns: Any, x: Any) -> Any:
    import tensorflow as tf

    _, height, width, channels = x.shape
    flat = tf.reshape(tf.cast(x, tf.float32), [-1, height, width * channels])
    tall = tf.reshape(tf.matmul(rows[None], flat), [-1, rows.shape[0], width, channels])
    return tf.matmul(columns[None, None], tall)
