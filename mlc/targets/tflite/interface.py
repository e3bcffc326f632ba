"""Inputs and outputs as integers, for accelerators that compute in nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlc.errors import UnsupportedError
from mlc.targets.planned import listed
from mlc.targets.target import InputOutput
from mlc.targets.tflite import flatbuffer
from mlc.targets.tflite.census import CASTS

__all__ = ["integer_interface", "left_in_floats"]

_UNSIGNED = 128  # of uint8: what 0 of int8 is there
_QUANTIZE_VERSION = 1


def integer_interface(model: Any, kind: InputOutput) -> None:
    """Rewrite in place, so that the inputs and outputs that were float32 are what kernels compute with.

    ::

        Before:  x float32 ─► QUANTIZE ─► int8 ─► … ─► int8 ─► DEQUANTIZE ─► y float32

        int8:                          x int8 ─► … ─► y int8
        uint8:   x uint8   ─► QUANTIZE ─► int8 ─► … ─► int8 ─► QUANTIZE ─► y uint8

    Scale and zero point stand in the file: `real = scale · (integer − zero_point)`. Inputs that are
    integers by themselves, such as the numbers of words, stay as they are.

    Raises `UnsupportedError` where anything of the file is still float32: accelerators such as the
    Edge TPU would leave it, and all that follows, to the CPU.
    """
    graph = model.subgraphs[0]
    for position, index in enumerate(graph.inputs):
        if flatbuffer.is_float32(graph.tensors[index]):
            graph.inputs[position] = _input(model, graph, int(index), kind)
    for position, index in enumerate(graph.outputs):
        if flatbuffer.is_float32(graph.tensors[index]):
            graph.outputs[position] = _output(model, graph, int(index), kind)
    if left := left_in_floats(model):
        raise UnsupportedError(
            f"--io {kind} needs integers from end to end, and {listed(left)} of this network is "
            "computed in floats.",
            "Leave --io out: the rest is then computed in integers all the same.",
        )


def left_in_floats(model: Any) -> list[str]:
    """Kinds of operations that are no integers, sorted; casts and ends only where there are no others."""
    names = flatbuffer.op_names(model)
    computed: set[str] = set()
    cast: set[str] = set()
    for graph in model.subgraphs:
        for op in graph.operators or ():
            if any(_is_float(graph.tensors[i]) for i in (*op.inputs, *op.outputs) if i >= 0):
                name = names[op.opcodeIndex]
                (cast if name in CASTS else computed).add(name)
    main = model.subgraphs[0]
    ends = any(_is_float(main.tensors[i]) for i in (*main.inputs, *main.outputs))
    return sorted(computed) or sorted(cast) or ["an input or output"] * ends


def _is_float(tensor: Any) -> bool:
    kind: str = flatbuffer.type_name(tensor.type)
    return kind.startswith(("float", "complex", "bfloat"))


def _input(model: Any, graph: Any, index: int, kind: InputOutput) -> int:
    """The tensor that takes the place of this input."""
    casts = [op for op in graph.operators if index in op.inputs and _is(model, op, "QUANTIZE")]
    if not casts:
        return index
    first = int(casts[0].outputs[0])
    graph.operators = [op for op in graph.operators if op is not casts[0]]
    for cast in casts[1:]:  # to other scales, if there are any
        cast.inputs = [first]
    if kind == "int8":
        return first
    outer = _unsigned(graph, first)
    graph.operators.insert(
        0, flatbuffer.operator(model, "QUANTIZE", _QUANTIZE_VERSION, outer, first)
    )
    return outer


def _output(model: Any, graph: Any, index: int, kind: InputOutput) -> int:
    """The tensor that takes the place of this output."""
    cast = next((op for op in graph.operators if index in op.outputs), None)
    if cast is None or not _is(model, cast, "DEQUANTIZE"):
        return index
    last = int(cast.inputs[0])
    if not any(index in op.inputs for op in graph.operators):
        graph.operators = [op for op in graph.operators if op is not cast]
    if kind == "int8":
        return last
    outer = _unsigned(graph, last)
    graph.operators.append(flatbuffer.operator(model, "QUANTIZE", _QUANTIZE_VERSION, last, outer))
    return outer


def _is(model: Any, op: Any, name: str) -> bool:
    return bool(flatbuffer.op_names(model)[op.opcodeIndex] == name)


def _unsigned(graph: Any, index: int) -> int:
    """A uint8 tensor that means the same as this int8 one."""
    signed = graph.tensors[index]
    outer = flatbuffer.add_tensor(graph, signed, "uint8", "_unsigned")
    scale, zero = np.asarray(signed.quantization.scale), int(signed.quantization.zeroPoint[0])
    graph.tensors[outer].quantization = flatbuffer.quantization(scale, zero + _UNSIGNED)
    return outer
