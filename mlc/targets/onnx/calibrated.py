"""Integer activations: QuantizeLinear and DequantizeLinear where the plan stores integers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.optimize.plan import Activation, Plan, quantize
from mlc.targets.onnx.graphs import captured, subgraphs
from mlc.targets.onnx.saturation import may_overflow
from mlc.targets.planned import PlannedWeights, planned_points

__all__ = ["Lowered", "quantize_operations"]

Array = np.ndarray[Any, np.dtype[Any]]

# Operations that only move values: what comes out has the scale of what goes in.
_MOVES = frozenset({
    "DepthToSpace", "Flatten", "Pad", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze",
    "Tile", "Transpose", "Unsqueeze",
})  # fmt: skip
_LINEAR = ("Conv", "Gemm", "MatMul")  # with integer kernels in onnxruntime
_FUSED = ("Clip", "Relu")  # computed with the operation before
_BEFORE_FUSED = (*_LINEAR, "Add", "Mul")
_MIDDLE = 128  # of uint8: what 0 of the plan's int8 is there


@dataclass
class Lowered:
    """What became of the plan's activations."""

    activations: dict[str, float] = field(
        default_factory=dict
    )  # scales of those stored as integers
    in_loops: tuple[str, ...] = ()  # those that stay float32 because of what reads them


def quantize_operations(model: Any, network: Network, plan: Plan) -> Lowered:
    """Rewrite tf2onnx's model in place, while its tensors still have the network's names.

    ::

        Before:  x ─► Conv(w, b) ─► Relu ─► y

        After:   x ─► Q ─► DQ ─► Conv(DQ(w int8), DQ(b int32)) ─► Relu ─► Q ─► DQ ─► y

    Runtimes compute what stands between DQ and Q in integers where they have a kernel, and in float32
    with the same rounding where they have none. Activations are uint8, 128 above the plan's int8:
    x64 CPUs have faster kernels for these. So are weights whose sums could overflow there as int8; see
    `saturation`. What loops read stays float32.
    """
    graph = model.graph
    known = _entries(graph, network, plan)
    looped = _read_in_bodies(graph)
    entries = {name: entry for name, entry in known.items() if name not in looped}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    lowered = Lowered(
        activations={entry.name: entry.scale for entry in entries.values()},
        in_loops=tuple(sorted({known[name].name for name in looped & known.keys()})),
    )
    builder = _Builder(graph)
    weights = PlannedWeights(network, plan)
    scales: dict[str, Any] = {}
    for node in list(graph.node):
        if node.op_type in _LINEAR and node.input[0] in entries and node.input[1] in constants:
            _lower_weights(node, constants, entries[node.input[0]], weights, builder, scales)
    for name, activation in entries.items():
        builder.store(name, activation)
    builder.write()
    return lowered


def _entries(graph: Any, network: Network, plan: Plan) -> dict[str, Activation]:
    """By tensor, the integer activations. Not those that a fused operation alone reads."""
    points = planned_points(Program.of(network).main, plan)
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    # tf2onnx makes several operations of one, under names that begin alike: the last is its result.
    results = {
        _op(name): name for node in graph.node if node.op_type not in _MOVES for name in node.output
    }
    entries = {i.name: points[_op(i.name)] for i in graph.input if _op(i.name) in points}
    for node in graph.node:
        for name in node.output:
            own = points.get(_op(name)) if results.get(_op(name)) == name else None
            source = entries.get(node.input[0]) if node.input else None
            found = source if node.op_type in _MOVES else own
            reading = readers.get(name, [])
            fused = len(reading) == 1 and reading[0].op_type in _FUSED
            if found and not (fused and node.op_type in _BEFORE_FUSED):
                entries[name] = found
    return entries


def _read_in_bodies(graph: Any) -> set[str]:
    """What bodies of loops and branches read from outside, also through operations that only move it.

    onnxruntime 1.32 moves a DequantizeLinear behind such an operation, looks for its reader among the
    inputs of the loop, and ends the process.
    """
    found = {name for node in graph.node for body in subgraphs(node) for name in captured(body)}
    for node in reversed(graph.node):
        if node.op_type in _MOVES and any(name in found for name in node.output):
            found.add(node.input[0])
    return found


def _op(tensor: str) -> str:
    """The op whose first output a tensor of tf2onnx is named after: `op:0`, `op__17:0`; else ""."""
    name, _, index = tensor.partition(":")
    return re.sub(r"__\d+$", "", name) if index in ("", "0") else ""


def _lower_weights(
    node: Any,
    constants: Mapping[str, Any],
    data: Activation,
    weights: PlannedWeights,
    builder: _Builder,
    done: dict[str, Any],
) -> None:
    import onnx

    name = node.input[1]
    if name not in done:
        values = onnx.numpy_helper.to_array(constants[name])
        weight = weights.find(values)
        if weight is None or weight.scheme != "linear" or len(weight.axes) > 1:
            return
        scale = np.array(weight.scale, np.float32)
        integers = quantize(values, weight)
        if may_overflow(node, integers):
            integers = (integers.astype(np.int16) + _MIDDLE).astype(np.uint8)
        done[name] = (builder.constant(name, integers, scale, weight.axes), scale)
    node.input[1], scale = done[name]
    if len(node.input) > 2 and node.input[2] in constants and node.op_type in ("Conv", "Gemm"):
        bias = onnx.numpy_helper.to_array(constants[node.input[2]]).astype(np.float64)
        step = np.broadcast_to(scale.astype(np.float64) * data.scale, bias.shape)
        limits = np.iinfo(np.int32)
        integers = np.clip(np.rint(bias / step), limits.min, limits.max).astype(np.int32)
        node.input[2] = builder.constant(
            f"{node.input[2]}@{node.name}", integers, step.astype(np.float32), (0,)
        )


class _Builder:
    """Adds constants and pairs of Q and DQ to a graph. State: the nodes that are still to be put in."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._first: list[Any] = []
        self._behind: dict[str, list[Any]] = {}
        self._real: dict[str, str] = {}

    def constant(self, name: str, integers: Array, scale: Array, axes: tuple[int, ...]) -> str:
        """The name of what stands for these integers."""
        import onnx

        scale = scale if axes else scale.reshape(())
        self._add(f"{name}.int", integers)
        self._add(f"{name}.scale", scale.astype(np.float32))
        zero = _MIDDLE if integers.dtype == np.uint8 else 0
        self._add(f"{name}.zero", np.full(scale.shape, zero, integers.dtype))
        inputs = [f"{name}.int", f"{name}.scale", f"{name}.zero"]
        axis = {"axis": axes[0]} if axes else {}
        make = onnx.helper.make_node
        self._first.append(make("DequantizeLinear", inputs, [f"{name}.real"], f"{name}.dq", **axis))
        return f"{name}.real"

    def store(self, name: str, activation: Activation) -> None:
        """Let every reader of a tensor read what its integers stand for; an output too."""
        import onnx

        self._add(f"{name}.scale", np.array(activation.scale, np.float32))
        self._add(f"{name}.zero", np.array(activation.zero_point + _MIDDLE, np.uint8))
        parameters = [f"{name}.scale", f"{name}.zero"]
        make = onnx.helper.make_node
        self._real[name] = f"{name}.real"
        self._behind[name] = [
            make("QuantizeLinear", [name, *parameters], [f"{name}.int"], f"{name}.q"),
            make("DequantizeLinear", [f"{name}.int", *parameters], [f"{name}.real"], f"{name}.dq"),
        ]

    def write(self) -> None:
        """Put all nodes in, in an order in which each follows what it reads."""
        outputs = {o.name for o in self._graph.output}
        nodes = [*self._first]
        for value in self._graph.input:
            nodes += self._behind.get(value.name, [])
        for node in self._graph.node:
            for i, name in enumerate(node.input):
                node.input[i] = self._real.get(name, name)
            nodes.append(node)
            for i, name in enumerate(node.output):
                if name in outputs and name in self._behind:
                    # The output keeps its name, so what is computed takes another.
                    node.output[i] = f"{name}.float"
                    q, dq = self._behind[name]
                    q.input[0], dq.output[0] = f"{name}.float", name
                    for later in self._graph.node:
                        for j, read in enumerate(later.input):
                            if read == f"{name}.real":
                                later.input[j] = name
                    self._real[name] = name
                nodes += self._behind.get(name, [])
        del self._graph.node[:]
        self._graph.node.extend(nodes)

    def _add(self, name: str, values: Array) -> None:
        import onnx

        self._graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values), name))
