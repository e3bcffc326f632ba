"""Constants stored in fewer bits, widened when the file is loaded; computation stays float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlc.optimize.plan import Weight, quantize
from mlc.targets.tflite import flatbuffer

__all__ = ["halve_constants", "store_weights"]

Array = np.ndarray[Any, np.dtype[Any]]
Position = tuple[int, int]  # graph, tensor

# Versions of DEQUANTIZE that know these types of input.
_VERSIONS = {"float16": 3, "int8": 5, "int4": 6}
_SMALL = 1024  # elements; a shorter vector, such as a bias, saves less than its operation costs
_HALF = np.finfo(np.float16)


def store_weights(model: Any, weights: Mapping[Position, Weight]) -> None:
    """Store linear weights as the plan's integers.

    ::

        Before:  w float32 ─► CONV_2D

        After:   w int8 ─► DEQUANTIZE ─► CONV_2D

    LiteRT computes the DEQUANTIZE of a constant once, so that the file runs at the speed of float32.
    Whatever reads the constant may have it: also tables of embeddings, and loops.
    """
    for (g, t), weight in weights.items():
        graph = model.subgraphs[g]
        kind = "int4" if weight.bits == 4 else "int8"
        integers = quantize(flatbuffer.values(model, graph.tensors[t]), weight)
        stored = _widened(model, graph, t, kind, packed(integers) if kind == "int4" else integers)
        axis = weight.axes[0] if weight.axes else 0
        stored.quantization = flatbuffer.quantization(np.array(weight.scale), axis=axis)


def halve_constants(model: Any) -> int:
    """Store float constants as float16, but for short vectors; answer how many are beyond its range."""
    beyond = 0
    for graph in model.subgraphs:
        for t, tensor in enumerate(list(graph.tensors)):
            if not flatbuffer.is_float32(tensor) or not flatbuffer.constant(model, tensor):
                continue
            values = flatbuffer.values(model, tensor)
            if values.ndim < 2 and values.size < _SMALL:
                continue
            if np.abs(values[np.isfinite(values)]).max(initial=0) > _HALF.max:
                beyond += 1
            else:
                _widened(model, graph, t, "float16", values.astype(np.float16))
    return beyond


def packed(integers: Array) -> Array:
    """Two 4-bit integers a byte, the first in the lower half."""
    nibbles = integers.reshape(-1).astype(np.uint8) & 0xF
    nibbles = np.append(nibbles, np.zeros(nibbles.size % 2, np.uint8))
    both: Array = nibbles[0::2] | nibbles[1::2] << 4
    return both


def _widened(model: Any, graph: Any, t: int, kind: str, data: Array) -> Any:
    """Let an operation compute the constant `t` from a new one of `data`, which is returned."""
    position = flatbuffer.add_tensor(graph, graph.tensors[t], kind, "/stored")
    stored = graph.tensors[position]
    flatbuffer.add_constant(model, stored, data.tobytes())
    graph.tensors[t].buffer = 0
    widen = flatbuffer.operator(model, "DEQUANTIZE", _VERSIONS[kind], position, t)
    graph.operators.insert(0, widen)
    return stored
