"""int8 without calibration data: weights as int8 with a scale per channel, computation in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlc.targets.onnx.graphs import all_graphs

__all__ = ["quantize_weights"]

_SMALL = 1024  # elements; below this the scales cost what the integers save

# Kind of node -> inputs that are weights, each with the axis of its channels
_WEIGHTS = {
    "Conv": ((1, 0),),
    "ConvTranspose": ((1, 1),),
    "MatMul": ((1, -1),),
    "Gather": ((0, 0),),  # an embedding: one scale per word
    "LSTM": ((1, 1), (2, 1)),
    "GRU": ((1, 1), (2, 1)),
}


def quantize_weights(model: Any) -> None:
    """Rewrite in place, whether the weight's reader is beside it or in a loop.

    Graph before::

        w float32 ─► Conv

    Graph after, `scale = max|w| / 127` per channel::

        w int8 ─► Cast ─► Mul(scale) ─► Conv

    onnxruntime folds the two into a float32 constant when it loads the file, which then runs at the
    speed of float32. A DequantizeLinear says the same, but onnxruntime keeps it and computes it in
    each run: MobileNetV2 then takes twice as long.
    """
    axes: dict[str, int] = {}
    for graph in all_graphs(model.graph):
        for node in graph.node:
            for position, axis in _weight_inputs(node):
                if position < len(node.input):
                    axes.setdefault(node.input[position], axis)
    for graph in all_graphs(model.graph):
        weights = [t for t in graph.initializer if t.name in axes and _worthwhile(t)]
        if weights:
            # First of all nodes: they need only constants, and loops may read what they compute.
            first = [_widened(graph, tensor, axes[tensor.name]) for tensor in weights]
            after = list(graph.node)
            del graph.node[:]
            graph.node.extend([node for pair in first for node in pair] + after)


def _weight_inputs(node: Any) -> tuple[tuple[int, int], ...]:
    if node.op_type == "Gemm":
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        return ((1, 0 if transposed else 1),)
    return _WEIGHTS.get(node.op_type, ())


def _worthwhile(tensor: Any) -> bool:
    import onnx

    size = int(np.prod(tensor.dims))
    return tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) >= 2 and size >= _SMALL


def _widened(graph: Any, tensor: Any, axis: int) -> tuple[Any, Any]:
    """Replace the constant by integers and scales; the nodes compute it under its name."""
    import onnx

    values = onnx.numpy_helper.to_array(tensor)
    others = tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    peak = np.abs(values).max(axis=others, keepdims=True)
    scale = (np.where(peak == 0, 1, peak) / 127).astype(np.float32)
    integers = np.clip(np.rint(values / scale), -127, 127).astype(np.int8)

    name = tensor.name
    tensor.CopyFrom(onnx.numpy_helper.from_array(integers, f"{name}.int8"))
    graph.initializer.append(onnx.numpy_helper.from_array(scale, f"{name}.scale"))
    node = onnx.helper.make_node
    return (
        node("Cast", [f"{name}.int8"], [f"{name}.cast"], f"{name}.cast", to=onnx.TensorProto.FLOAT),
        node("Mul", [f"{name}.cast", f"{name}.scale"], [name], f"{name}.mul"),
    )
