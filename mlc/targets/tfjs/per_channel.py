"""A scale per output channel, which the TF.js weight format does not have, spelled in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["SCALES", "split_scales"]

# op → axes of its kernel that count output channels
_CHANNELS = {
    "Conv2D": (3,),
    "_FusedConv2D": (3,),
    "DepthwiseConv2dNative": (2, 3),
    "FusedDepthwiseConv2dNative": (2, 3),
    "MatMul": (1,),
    "_FusedMatMul": (1,),
}
_PRODUCT = "/mlc_scaled"
SCALES = "/mlc_scales"  # ends the name of the constants that stay float32


def split_scales(graph_def: Any) -> None:
    """Divide every kernel by the largest magnitude of each output channel; the graph multiplies back.

    Graph before::

        Const W ─► Conv2D

    Graph after::

        Const W/s ──► Mul ─► Conv2D
        Const s ─────┘

    TF.js stores a whole tensor with one scale and one offset. After the division all channels span −1..1,
    so that one scale is right for each of them: per-channel quantization (Krishnamoorthi 2018). Without
    it a network with folded BatchNorm, whose channels differ a hundredfold, does not survive 8 bits.

    Edits `graph_def` in place. Kernels that several ops read in different ways are left alone.
    """
    nodes = {node.name: node for node in graph_def.node}
    readers: dict[str, list[Any]] = {}
    for node in graph_def.node:
        if node.op in _CHANNELS and nodes[node.input[1].split(":")[0]].op == "Const":
            readers.setdefault(node.input[1], []).append(node)
    for name, users in readers.items():
        axes = {_axes(user) for user in users}
        if len(axes) == 1:
            _divide(graph_def, nodes[name], users, axes.pop())


def _axes(node: Any) -> tuple[int, ...]:
    return (0,) if node.attr["transpose_b"].b else _CHANNELS[node.op]


def _divide(graph_def: Any, kernel: Any, users: list[Any], axes: tuple[int, ...]) -> None:
    from tensorflow import make_ndarray, make_tensor_proto

    weights = make_ndarray(kernel.attr["value"].tensor)
    others = tuple(i for i in range(weights.ndim) if i not in axes)
    largest = np.abs(weights).max(axis=others, keepdims=True)
    scale = np.where(largest > 0, largest, 1).astype(np.float32)
    kernel.attr["value"].tensor.CopyFrom(make_tensor_proto(weights / scale))

    product = graph_def.node.add(name=kernel.name + _PRODUCT, op="Mul")
    product.attr["T"].CopyFrom(kernel.attr["dtype"])
    scales = graph_def.node.add(name=kernel.name + SCALES, op="Const")
    scales.attr["dtype"].CopyFrom(kernel.attr["dtype"])
    scales.attr["value"].tensor.CopyFrom(make_tensor_proto(scale))
    product.input.extend([kernel.name, scales.name])
    for user in users:
        user.input[1] = product.name
