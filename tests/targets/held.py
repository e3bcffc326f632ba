"""What is in an artifact on disk, read without the rooms' own counting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlc.targets.coreml.evaluator.program import load
from mlc.targets.tflite import flatbuffer

__all__ = ["Held", "Kernel", "held"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Kernel:
    """A large weight: its type, how many different values it (or one channel of it) takes, its scales."""

    kind: str
    values: int
    scales: int


@dataclass(frozen=True)
class Held:
    """The weights of at least `least` elements, and what is computed with."""

    kernels: tuple[Kernel, ...]
    activations: frozenset[str]


def held(target: str, path: Path, least: int) -> Held:
    """Read the artifact of a target."""
    return {"coreml": _coreml, "tflite": _tflite, "onnx": _onnx, "tfjs": _tfjs}[target](path, least)


def _coreml(path: Path, least: int) -> Held:
    found = []
    ops = load(path).block.ops
    for op in ops:
        for value in (v for values in op.parameters.values() for v in values):
            if op.kind.startswith("constexpr_") or not value.is_constant or not value.type.is_float:
                continue
            if np.size(value.constant) >= least:
                found.append(_coreml_kernel(value))
    types = {
        str(v.constant)
        for op in ops
        if op.kind == "quantize"
        for v in op.parameters["output_dtype"]
    }
    computed = {o.type.dtype for op in ops if op.kind in ("conv", "linear") for o in op.outputs}
    return Held(tuple(found), frozenset(types or computed))


def _distinct(values: Any) -> int:
    """How many different values; float16 widened, see `mostly_narrow`."""
    wide = values.astype(np.float32) if values.dtype == np.float16 else values
    return int(np.unique(wide).size)


def _coreml_kernel(value: Any) -> Kernel:
    op = value.op
    distinct = _distinct(value.constant)
    if op is None or not op.kind.startswith("constexpr_"):
        return Kernel(value.type.dtype, distinct, 0)
    parameters = {name: values[0] for name, values in op.parameters.items()}
    if op.kind == "constexpr_lut_to_dense":
        return Kernel("index", distinct, 0)
    data = parameters.get("quantized_data") or parameters["data"]
    scales = np.size(parameters["scale"].constant)
    return Kernel(data.type.dtype, _distinct(data.constant), scales)


def _tflite(path: Path, least: int) -> Held:
    model = flatbuffer.parse(path.read_bytes())
    kernels = []
    computed = set()
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            kind = flatbuffer.type_name(tensor.type)
            scale = tensor.quantization.scale if tensor.quantization else None
            scales = 0 if scale is None else len(scale)
            if not flatbuffer.constant(model, tensor):
                computed |= {kind} if scales else set()
            elif np.prod(tensor.shape) >= least:
                data = bytes(model.buffers[tensor.buffer].data)
                if kind == "int4":
                    pairs = np.frombuffer(data, np.uint8)
                    stored = np.concatenate([pairs & 15, pairs >> 4])
                else:
                    stored = np.frombuffer(data, kind)
                kernels.append(Kernel(kind, _distinct(stored), scales))
    return Held(tuple(kernels), frozenset(computed or {"float32"}))


def _onnx(path: Path, least: int) -> Held:
    import onnx

    graph = onnx.load(path).graph
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    scales, indices = {}, set()
    producers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            scales[node.input[0]] = constants[node.input[1]].size
        elif node.op_type == "Mul" and producers.get(node.input[0], node).op_type == "Cast":
            source = producers[node.input[0]].input[0]
            if node.input[1] in constants:
                scales[source] = constants[node.input[1]].size
        elif node.op_type == "Gather" and producers.get(node.input[1], node).op_type == "Cast":
            indices.add(producers[node.input[1]].input[0])
    kernels = [
        Kernel(
            "index"
            if name in indices
            else {"uint8": "int8"}.get(values.dtype.name, values.dtype.name),
            _distinct(values),
            scales.get(name, 0),
        )
        for name, values in constants.items()
        if values.size >= least
    ]
    quantized = [n for n in graph.node if n.op_type == "QuantizeLinear"]
    if quantized:
        return Held(tuple(kernels), frozenset({"int8"}))
    computed = {values.dtype.name for values in constants.values()} & {"float16"}
    return Held(tuple(kernels), frozenset(computed or {"float32"}))


def _tfjs(path: Path, least: int) -> Held:
    model = json.loads((path / "model.json").read_text())
    weights = dict(_tfjs_weights(path, model["weightsManifest"]))
    scaled = {
        n["input"][0]: n["input"][1] for n in model["modelTopology"]["node"] if n["op"] == "Mul"
    }
    kernels = [
        Kernel(
            {"uint8": "int8"}.get(values.dtype.name, values.dtype.name),
            _distinct(values),
            weights[scaled[name]].size if scaled.get(name) in weights else 0,
        )
        for name, values in weights.items()
        if values.size >= least
    ]
    return Held(tuple(kernels), frozenset({"float32"}))


def _tfjs_weights(path: Path, manifest: list[dict[str, Any]]) -> Iterator[tuple[str, Array]]:
    for group in manifest:
        data = b"".join((path / shard).read_bytes() for shard in group["paths"])
        start = 0
        for weight in group["weights"]:
            dtype = np.dtype(weight.get("quantization", {}).get("dtype", weight["dtype"]))
            count = int(np.prod(weight["shape"]))
            yield weight["name"], np.frombuffer(data, dtype, count, start)
            start += count * dtype.itemsize
