"""int8 without calibration data: weights as int8 with a scale per channel, computation in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlc.targets.onnx.graphs import all_graphs

__all__ = ["quantize_weights"]

_SMALL = 1024  # elements; below this the scales cost what the integers save

# Kind of node -> (which input is the weight, the axis of its channels)
_WEIGHTS = {
    "Conv": (1, 0),
    "ConvTranspose": (1, 1),
    "MatMul": (1, -1),
    "Gather": (0, 0),  # an embedding: one scale per word
    "LSTM": (1, 1),
    "GRU": (1, 1),
}


def quantize_weights(model: Any) -> int:
    """Rewrite in place; answer how many weight tensors became int8.

    Graph before::

        w float32 ─► Conv

    Graph after, `scale = max|w| / 127` per channel, no zero point::

        w int8, scale ─► DequantizeLinear ─► Conv
    """
    count = 0
    for graph in all_graphs(model.graph):
        constants = {tensor.name: tensor for tensor in graph.initializer}
        done: dict[str, Any] = {}
        for node in list(graph.node):
            for position, axis in _weight_inputs(node):
                name = node.input[position] if position < len(node.input) else ""
                if name in constants and name not in done and _worthwhile(constants[name]):
                    done[name] = _dequantize(graph, constants[name], axis)
        if done:
            _insert(graph, done)
        count += len(done)
    return count


def _weight_inputs(node: Any) -> list[tuple[int, int]]:
    if node.op_type == "Gemm":
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        return [(1, 0 if transposed else 1)]
    if node.op_type in ("LSTM", "GRU"):
        return [(1, 1), (2, 1)]
    return [_WEIGHTS[node.op_type]] if node.op_type in _WEIGHTS else []


def _worthwhile(tensor: Any) -> bool:
    import onnx

    size = int(np.prod(tensor.dims))
    return tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) >= 2 and size >= _SMALL


def _dequantize(graph: Any, tensor: Any, axis: int) -> Any:
    """Replace the constant by integers and scales; the node computes it under its old name."""
    import onnx

    values = onnx.numpy_helper.to_array(tensor)
    axis %= values.ndim
    others = tuple(i for i in range(values.ndim) if i != axis)
    peak = np.abs(values).max(axis=others, keepdims=True)
    scale = (np.where(peak == 0, 1, peak) / 127).astype(np.float32)
    integers = np.clip(np.rint(values / scale), -127, 127).astype(np.int8)

    name = tensor.name
    tensor.CopyFrom(onnx.numpy_helper.from_array(integers, f"{name}.int8"))
    graph.initializer.append(onnx.numpy_helper.from_array(scale.ravel(), f"{name}.scale"))
    return onnx.helper.make_node(
        "DequantizeLinear", [f"{name}.int8", f"{name}.scale"], [name], name=f"{name}.dq", axis=axis
    )


def _insert(graph: Any, nodes: dict[str, Any]) -> None:
    """Before all others: their inputs are constants, and subgraphs may read what they compute."""
    after = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes.values(), *after])
