"""Weights in fewer bits, widened when the file is loaded; computation stays float32."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mlc.optimize.decide import decide_weight
from mlc.optimize.plan import Weight, quantize
from mlc.optimize.recipe import Recipe
from mlc.targets.onnx.graphs import all_graphs
from mlc.targets.planned import PlannedWeights

__all__ = ["store_weights"]

Array = np.ndarray[Any, np.dtype[Any]]

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


def store_weights(model: Any, planned: PlannedWeights, recipe: Recipe) -> int:
    """Rewrite in place, whether the weight's reader is beside it or in a loop.

    ::

        Before:  w float32 ─► Conv

        After:   w int8 ─► Cast ─► Mul(scale) ─► Conv             linear
                 indices uint8 ─► Cast ─► Gather(table) ─► Conv   palettes

    Integers, scales and tables are the plan's. Weights that it does not compress, because loops read them
    or the converter made them of others, get a scale per channel by the same rule; the count of these is
    returned. What holds infinities or NaN stays.

    onnxruntime folds what widens them into a float32 constant when it loads the file, which then runs at
    the speed of float32. A DequantizeLinear says the same, but onnxruntime keeps it and computes it in
    each run: MobileNetV2 then takes twice as long.
    """
    import onnx

    unknown = 0
    axes: dict[str, int] = {}
    for graph in all_graphs(model.graph):
        for node in graph.node:
            for position, axis in _weight_inputs(node):
                if position < len(node.input):
                    axes.setdefault(node.input[position], axis)
    for graph in all_graphs(model.graph):
        first: list[Any] = []
        for tensor in [t for t in graph.initializer if t.name in axes and _worthwhile(t)]:
            values = onnx.numpy_helper.to_array(tensor)
            weight = planned.find(values)
            if not np.isfinite(values).all():
                continue
            unknown += weight is None or weight.scheme == "float"
            first += _widened(graph, tensor, values, weight, axes[tensor.name], recipe)
        # First of all nodes: they need only constants, and loops may read what they compute.
        after = list(graph.node)
        del graph.node[:]
        graph.node.extend(first + after)
    return unknown


def _weight_inputs(node: Any) -> tuple[tuple[int, int], ...]:
    if node.op_type == "Gemm":
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        return ((1, 0 if transposed else 1),)
    return _WEIGHTS.get(node.op_type, ())


def _worthwhile(tensor: Any) -> bool:
    import onnx

    size = int(np.prod(tensor.dims))
    return tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) >= 2 and size >= _SMALL


def _widened(
    graph: Any, tensor: Any, values: Array, weight: Weight | None, axis: int, recipe: Recipe
) -> tuple[Any, Any]:
    """Replace the constant by what is stored; the nodes compute it under its name."""
    import onnx

    if recipe.palettized:
        table, indices = np.unique(values, return_inverse=True)
        if len(table) <= 256:
            return _looked_up(graph, tensor, table, indices.reshape(values.shape))
    if weight is None or weight.scheme != "linear":
        linear = replace(recipe, weights="int8") if recipe.palettized else recipe
        weight = decide_weight(tensor.name, "", values, (axis % values.ndim,), linear)
    shape = [values.shape[i] if i in weight.axes else 1 for i in range(values.ndim)]
    scale = np.array(weight.scale, np.float32).reshape(shape)
    name = tensor.name
    tensor.CopyFrom(onnx.numpy_helper.from_array(quantize(values, weight), f"{name}.int8"))
    graph.initializer.append(onnx.numpy_helper.from_array(scale, f"{name}.scale"))
    node = onnx.helper.make_node
    return (
        node("Cast", [f"{name}.int8"], [f"{name}.cast"], f"{name}.cast", to=onnx.TensorProto.FLOAT),
        node("Mul", [f"{name}.cast", f"{name}.scale"], [name], f"{name}.mul"),
    )


def _looked_up(graph: Any, tensor: Any, table: Array, indices: Array) -> tuple[Any, Any]:
    import onnx

    name, node = tensor.name, onnx.helper.make_node
    stored = onnx.numpy_helper.from_array(indices.astype(np.uint8), f"{name}.indices")
    tensor.CopyFrom(stored)
    graph.initializer.append(onnx.numpy_helper.from_array(table, f"{name}.table"))
    wide = onnx.TensorProto.INT32  # Gather takes no narrower ones
    return (
        node("Cast", [f"{name}.indices"], [f"{name}.cast"], f"{name}.cast", to=wide),
        node("Gather", [f"{name}.table", f"{name}.cast"], [name], f"{name}.gather"),
    )
