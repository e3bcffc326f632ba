"""What an ONNX file holds: counted in the file, whatever was asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc.optimize.recipe import Precision
from mlc.targets.onnx.graphs import all_graphs

__all__ = ["Census", "count"]

_FLOATS = ("float32", "float16", "float64", "bfloat16")
_INTEGER_OPS = ("QuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")


@dataclass(frozen=True)
class Census:
    """Operations over all graphs, parameters by number format."""

    ops: Counter[str]
    parameters: Counter[str]  # numpy's name of the format -> elements

    @property
    def weights(self) -> Precision:
        """The narrowest format that weights have."""
        if self.parameters["int8"] or self.parameters["uint8"]:
            return "int8"
        return "float16" if self.parameters["float16"] else "float32"

    @property
    def activations(self) -> Precision:
        """Integers where something is quantized while running; else the format of the constants."""
        if any(self.ops[op] for op in _INTEGER_OPS):
            return "int8"
        return "float16" if self.weights == "float16" else "float32"


def count(model: Any) -> Census:
    """Count weights of rank 1 and more: not scales and zero points, nor integer shapes and axes."""
    import onnx

    ops: Counter[str] = Counter()
    parameters: Counter[str] = Counter()
    for graph in all_graphs(model.graph):
        scales, quantized = set(), set()
        for node in graph.node:
            domain = f"{node.domain}:" if node.domain else ""
            ops[domain + node.op_type] += 1
            if node.op_type in ("DequantizeLinear", "QuantizeLinear"):
                scales.update(node.input[1:])
                quantized.add(node.input[0])
            elif node.op_type.startswith("QLinear"):
                quantized.update(node.input)
        for tensor in graph.initializer:
            kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).name
            weight = kind in _FLOATS or tensor.name in quantized
            if tensor.dims and weight and tensor.name not in scales:
                parameters[kind] += int(np.prod(tensor.dims))
    return Census(ops, parameters)
