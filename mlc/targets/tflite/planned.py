"""Which tensors of a converted file are which of the plan's."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from mlc.convert.graph import Body, Program
from mlc.convert.network import Network
from mlc.optimize.plan import Activation, Plan, Weight
from mlc.targets.tflite import flatbuffer

__all__ = ["MOVES", "planned_activations", "planned_weights"]

Array = np.ndarray[Any, np.dtype[Any]]

# Operations that only move values. The converter makes them out of others, under names that say nothing.
MOVES = frozenset({
    "BATCH_TO_SPACE_ND", "DEPTH_TO_SPACE", "EXPAND_DIMS", "MIRROR_PAD", "PAD", "RESHAPE", "SLICE",
    "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TILE",
    "TRANSPOSE", "UNPACK",
})  # fmt: skip
_TOGETHER = ("BiasAdd", "Relu", "Relu6", "Identity")  # what may be computed with the op before


def planned_activations(model: Any, network: Network, plan: Plan) -> dict[int, Activation]:
    """By index of a tensor of the main graph, those that the plan makes integers.

    The converter names a tensor after the ops it computes, `a;b;c`, and appends a digit where several
    operations came out of one: only the last of them computes what the op did.
    """
    if not plan.calibrated:
        return {}
    body = Program.of(network).main
    points = _points(body, plan)
    order = {node.name: i for i, node in enumerate(body.in_order())}
    graph = model.subgraphs[0]
    operations = list(graph.operators)
    names = flatbuffer.op_names(model)

    last: dict[str, int] = {}  # op of the network → the last tensor that is named after it
    for index in (*graph.inputs, *(i for op in operations for i in op.outputs)):
        if name := _op_behind(flatbuffer.text(graph.tensors[index].name), order):
            last[name] = index
    owner = {index: name for name, index in last.items()}

    found: dict[int, Activation] = {}
    for index in graph.inputs:
        _note(found, index, points.get(owner.get(index, "")))
    for op in operations:
        moved = names[op.opcodeIndex] in MOVES
        for index in op.outputs:
            source = found.get(next((i for i in op.inputs if i in found), -1))
            own = points.get(owner.get(index, ""))
            _note(found, index, source if moved and source else own)
    return {i: a for i, a in found.items() if flatbuffer.is_float32(graph.tensors[i])}


def _note(found: dict[int, Activation], index: int, activation: Activation | None) -> None:
    if activation is not None:
        found[index] = activation


def _op_behind(name: str, order: dict[str, int]) -> str | None:
    """The op whose result a tensor of that name is: of several, the one computed last."""
    known = [op for part in name.split(";") if (op := _op(part.split(":")[0], order))]
    return max(known, key=lambda op: order[op], default=None)


def _op(name: str, order: dict[str, int]) -> str | None:
    return next((n for n in (name, re.sub(r"\d+$", "", name)) if n in order), None)


def _points(body: Body, plan: Plan) -> dict[str, Activation]:
    """Every op whose value is one of the plan's, or is on the way to one without being stored."""
    points = dict(plan.activation)
    for node in reversed(body.in_order()):
        if node.name not in points and node.op == "Identity":
            source = plan.activation.get(node.input[0].split(":")[0])
            if source:
                points[node.name] = source
        reader = body.only_reader(node.name)
        together = reader is not None and reader.op in _TOGETHER and reader.name in points
        if node.name not in points and together:
            points[node.name] = points[reader.name]
    return points


def planned_weights(model: Any, network: Network, plan: Plan) -> dict[tuple[int, int], Weight]:
    """By (graph, tensor), the constants that the plan compresses; `axes` are those of the tensor.

    Constants are known by their values: the converter transposes them, and forgets their names.
    """
    wanted: dict[bytes, list[tuple[Weight, Array]]] = defaultdict(list)
    body = Program.of(network).main
    for weight in plan.weights:
        if weight.scheme != "float":
            values = body.constant_value(weight.name)
            wanted[_fingerprint(values)].append((weight, values))
    found: dict[tuple[int, int], Weight] = {}
    for position, values in _constants(model):
        for weight, original in wanted.get(_fingerprint(values), []):
            axes = _axes(values, weight, original)
            if axes is not None:
                found[position] = replace(weight, axes=axes)
                break
    return found


def _constants(model: Any) -> Iterator[tuple[tuple[int, int], Array]]:
    for g, graph in enumerate(model.subgraphs):
        for t, tensor in enumerate(graph.tensors):
            if flatbuffer.is_float32(tensor) and flatbuffer.constant(model, tensor):
                yield (g, t), flatbuffer.values(model, tensor)


def _fingerprint(values: Array) -> bytes:
    """The same for all orders of the same values. Adding 0 makes 0 of -0, which sorts anywhere."""
    return np.sort(values + 0, axis=None).tobytes()


def _axes(values: Array, weight: Weight, original: Array) -> tuple[int, ...] | None:
    """The axis of a tensor along which it has the channels of the original; None if there is none."""
    if not weight.axes:
        return ()
    peaks = _peaks(original, weight.axes)
    for axis in range(values.ndim):
        if np.array_equal(_peaks(values, (axis,)), peaks):
            return (axis,)
    return None


def _peaks(values: Array, axes: tuple[int, ...]) -> Array:
    others = tuple(i for i in range(values.ndim) if i not in axes)
    largest: Array = np.abs(values).max(axis=others).reshape(-1)
    return largest
