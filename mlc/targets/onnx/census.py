"""What an ONNX file holds: counted in the file, whatever was asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc.optimize.recipe import Precision
from mlc.targets.onnx.graphs import all_graphs

__all__ = ["Census", "count"]

_WEIGHTS = ("float32", "float16", "float64", "bfloat16", "int8", "uint8")
_MATRIX_OPS = ("Conv", "ConvTranspose", "Gemm", "GRU", "LSTM", "MatMul", "RNN")
_INTEGER_OPS = ("QuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")


@dataclass(frozen=True)
class Census:
    """Operations over all graphs, parameters by number format."""

    ops: Counter[str]
    parameters: Counter[str]  # numpy's name of the format -> elements
    float_products: Counter[str]  # operations that multiply matrices of what is not quantized

    @property
    def weights(self) -> Precision:
        """The narrowest format that a tenth of the parameters has: fewer is not what the file is."""
        enough = max(1, self.parameters.total() / 10)
        if self.parameters["int8"] + self.parameters["uint8"] >= enough:
            return "int8"
        return "float16" if self.parameters["float16"] >= enough else "float32"

    @property
    def activations(self) -> Precision:
        """Integers where something is quantized while running; else the format of the constants."""
        if any(self.ops[op] for op in _INTEGER_OPS):
            return "int8"
        return "float16" if self.weights == "float16" else "float32"


def count(model: Any) -> Census:
    """Count weights of rank 1 and more: not scales and zero points, nor integer shapes and axes."""
    ops: Counter[str] = Counter()
    parameters: Counter[str] = Counter()
    float_products: Counter[str] = Counter()
    for graph in all_graphs(model.graph):
        kinds = {t.name: _kind(t) for t in graph.initializer}
        scales, biases, widened = set(), set(), set()
        real = {o for n in graph.node if n.op_type == "DequantizeLinear" for o in n.output}
        for node in graph.node:
            domain = f"{node.domain}:" if node.domain else ""
            ops[domain + node.op_type] += 1
            if node.op_type in _MATRIX_OPS and not real.issuperset(node.input[:2]):
                float_products[node.op_type] += 1
            if node.op_type in ("DequantizeLinear", "QuantizeLinear"):
                biases.add(node.input[0])
                scales.update(node.input[1:])
            elif node.op_type == "Cast" and kinds.get(node.input[0]) in ("int8", "uint8"):
                widened.add(node.output[0])
            elif node.op_type == "Mul" and node.input[0] in widened:
                scales.add(node.input[1])
            elif node.op_type == "Gather" and node.input[1] in widened:
                scales.add(node.input[0])  # a palette
        for tensor in graph.initializer:
            kind = kinds[tensor.name]
            weight = kind in _WEIGHTS or (kind == "int32" and tensor.name in biases)
            if tensor.dims and weight and tensor.name not in scales:
                parameters[kind] += int(np.prod(tensor.dims))
    return Census(ops, parameters, float_products)


def _kind(tensor: Any) -> str:
    import onnx

    return str(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).name)
