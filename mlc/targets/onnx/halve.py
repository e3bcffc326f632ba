"""float32 → float16: constants and computation, with float32 inputs and outputs.

onnxruntime's and onnxconverter-common's converters do not look into subgraphs and leave casts behind at
every border; this one knows one rule. Every float tensor has one precision in which it is computed,
and a cast where a reader wants the other:

* nodes in `_KEPT`, and nodes with subgraphs (with all that is inside), compute in float32;
* so do the inputs in `_KEPT_INPUTS`, whose type ONNX fixes;
* everything else is float16, and so are large constants, whoever reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlc.targets.onnx.graphs import dependencies, subgraphs

__all__ = ["halve"]

# Without float16 in ONNX's or onnxruntime's definition, or losing too much in it: positions and counts
# (above 2048 float16 has no odd numbers), and random numbers.
_KEPT = frozenset(
    (
        *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike"),
        *("RandomUniform", "RandomUniformLike"),
        *("CumSum", "EyeLike", "GridSample", "Max", "Min", "NonMaxSuppression", "Range"),
        *("RoiAlign", "TopK"),
        *("GRU", "LSTM", "RNN"),
    )
)
_KEPT_INPUTS = {"Resize": (1, 2)}
_LIMIT = float(np.finfo(np.float16).max)
_LARGE = 1024  # elements; a smaller constant saves less than its cast costs
_SMALLEST = 2.0**-24  # of float16; an epsilon that became 0 would divide by zero


@dataclass
class _Half:
    """The model being rewritten. `single` and `half` name the two versions of a float tensor."""

    graph: Any
    floats: frozenset[str]
    constants: dict[str, Any]
    single: dict[str, str] = field(default_factory=dict)
    half: dict[str, str] = field(default_factory=dict)
    nodes: list[Any] = field(default_factory=list)
    clamped: int = 0


def halve(model: Any) -> int:
    """Rewrite in place; answer how many constants were beyond float16 and had to be clamped."""
    graph = model.graph
    state = _Half(graph, _float_tensors(model), {t.name: t for t in graph.initializer})
    for spec in graph.input:
        state.single[spec.name] = spec.name
    outputs = {spec.name for spec in graph.output}

    for node in graph.node:
        kept = node.op_type in _KEPT or bool(subgraphs(node))
        if kept:
            # Readers inside subgraphs want float32 by the tensor's own name.
            for name in dependencies(node):
                if name in state.floats:
                    _single(state, name)
        else:
            single_inputs = _KEPT_INPUTS.get(node.op_type, ())
            for i, name in enumerate(node.input):
                if name in state.floats:
                    node.input[i] = (
                        _single(state, name) if i in single_inputs else _half(state, name)
                    )
            _halve_attributes(node)
        state.nodes.append(node)
        for i, name in enumerate(node.output):
            if name not in state.floats:
                continue
            if kept:
                state.single[name] = name
            else:
                state.half[name] = node.output[i] = f"{name}.f16"
    for name in sorted(outputs & state.floats):
        _single(state, name)

    del graph.node[:]
    graph.node.extend(state.nodes)
    computed = {name for node in graph.node for name in node.output}
    constants = [
        tensor
        for name, tensor in state.constants.items()
        if name not in state.floats or (name in state.single and name not in computed)
    ]
    constants += [_halved(state, name) for name in state.half if name in state.constants]
    del graph.initializer[:]
    graph.initializer.extend(constants)
    return state.clamped


def _single(state: _Half, name: str) -> str:
    """The float32 version, under the tensor's own name; subgraphs and outputs rely on that."""
    if name not in state.single:
        if name not in state.constants:
            state.nodes.append(_cast(state.half[name], name, half=False))
        elif np.prod(state.constants[name].dims) >= _LARGE:
            state.nodes.append(_cast(_half(state, name), name, half=False))
        state.single[name] = name
    return state.single[name]


def _half(state: _Half, name: str) -> str:
    """The float16 version."""
    if name not in state.half:
        state.half[name] = f"{name}.f16"
        if name not in state.constants:
            state.nodes.append(_cast(state.single[name], state.half[name], half=True))
    return state.half[name]


def _cast(source: str, result: str, half: bool) -> Any:
    import onnx

    element = onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT
    return onnx.helper.make_node("Cast", [source], [result], name=f"{result}.cast", to=element)


def _halved(state: _Half, name: str) -> Any:
    import onnx

    values = onnx.numpy_helper.to_array(state.constants[name])
    state.clamped += bool((np.abs(values[np.isfinite(values)]) > _LIMIT).any())
    return onnx.numpy_helper.from_array(_to_half(values), state.half[name])


def _to_half(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Round; what is finite and not zero stays so."""
    limited = np.where(np.isfinite(values), np.clip(values, -_LIMIT, _LIMIT), values)
    tiny = (limited != 0) & (np.abs(limited) < _SMALLEST)
    return np.where(tiny, np.copysign(_SMALLEST, limited), limited).astype(np.float16)


def _halve_attributes(node: Any) -> None:
    """A cast to float becomes one to half, a constant of floats one of halves."""
    import onnx

    for attribute in node.attribute:
        if attribute.name in ("to", "dtype") and attribute.i == onnx.TensorProto.FLOAT:
            attribute.i = onnx.TensorProto.FLOAT16
        elif attribute.HasField("t") and attribute.t.data_type == onnx.TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(attribute.t)
            attribute.t.CopyFrom(onnx.numpy_helper.from_array(_to_half(values)))
    if node.op_type == "ConstantOfShape" and not node.attribute:
        zero = onnx.helper.make_tensor("value", onnx.TensorProto.FLOAT16, [1], [0.0])
        node.attribute.append(onnx.helper.make_attribute("value", zero))


def _float_tensors(model: Any) -> frozenset[str]:
    """Names of all float32 tensors of the main graph."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    typed = [*graph.input, *graph.output, *graph.value_info]
    return frozenset(
        [v.name for v in typed if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT]
        + [t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    )
