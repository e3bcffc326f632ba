"""What a TFLite file holds: counted in the file, whatever the converter was told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import Any

from mlc.optimize.recipe import Precision
from mlc.targets.tflite.flatbuffer import constant, op_names, type_name

__all__ = ["CASTS", "Census", "count"]

CASTS = ("QUANTIZE", "DEQUANTIZE")  # borders between number formats, no computation
_INTEGER = ("int8", "uint8", "int16", "int4")


@dataclass(frozen=True)
class Census:
    """Parameters and operations by number format."""

    parameters: int
    float_parameters: int  # float32
    weights: Precision  # the narrowest format that a tenth of the parameters has
    activations: Precision
    op_count: int
    float_op_count: int
    float_ops: tuple[str, ...]  # kinds of operations that read or write float32


def count(model: Any) -> Census:
    """Count over all subgraphs. A constant that several tensors share counts once."""
    sizes: Counter[str] = Counter()
    seen: set[int] = set()
    computed: Counter[str] = Counter()  # types of quantized tensors that are not constants
    names = op_names(model)
    ops = 0
    float_ops: Counter[str] = Counter()
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            kind = type_name(tensor.type)
            if not constant(model, tensor):
                computed[kind] += kind in _INTEGER and _is_quantized(tensor)
            elif tensor.buffer not in seen and _is_parameter(tensor, kind):
                seen.add(tensor.buffer)
                sizes[kind] += prod(map(int, tensor.shape))
        for op in graph.operators or ():
            name = names[op.opcodeIndex]
            if name in CASTS:
                continue
            ops += 1
            ends = [i for i in (*op.inputs, *op.outputs) if i >= 0]
            if any(type_name(graph.tensors[i].type) == "float32" for i in ends):
                float_ops[name] += 1

    enough = max(1, sizes.total() / 10)
    weights: Precision = "float32"
    if sizes["int4"] >= enough:
        weights = "int4"
    elif sum(sizes[kind] for kind in _INTEGER) >= enough:
        weights = "int8"
    elif sizes["float16"] >= enough:
        weights = "float16"
    activations: Precision = "float32"
    if computed["int8"] or computed["uint8"]:
        activations = "int8"
    elif computed["int16"]:
        activations = "int16"
    return Census(
        parameters=sum(sizes.values()),
        float_parameters=sizes["float32"],
        weights=weights,
        activations=activations,
        op_count=ops,
        float_op_count=sum(float_ops.values()),
        float_ops=tuple(sorted(float_ops)),
    )


def _is_parameter(tensor: Any, kind: str) -> bool:
    """Weights and biases, not shapes, axes and paddings, which are integers without a scale."""
    if tensor.shape is None or len(tensor.shape) == 0:
        return False
    if kind in ("float32", "float16", "float64"):
        return True
    return kind in (*_INTEGER, "int32", "int64") and _is_quantized(tensor)


def _is_quantized(tensor: Any) -> bool:
    scale = tensor.quantization.scale if tensor.quantization else None
    return scale is not None and len(scale) > 0
