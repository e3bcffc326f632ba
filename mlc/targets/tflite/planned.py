"""Which tensors of a converted file are which of the plan's."""

from __future__ import annotations

import re
from typing import Any

from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.optimize.plan import Activation, Plan, Weight
from mlc.targets.planned import PlannedWeights, planned_points
from mlc.targets.tflite import flatbuffer

__all__ = ["MOVES", "planned_activations", "planned_weights"]

# Operations that only move values. The converter makes them out of others, under names that say nothing.
MOVES = frozenset({
    "BATCH_TO_SPACE_ND", "DEPTH_TO_SPACE", "EXPAND_DIMS", "MIRROR_PAD", "PAD", "RESHAPE", "SLICE",
    "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TILE",
    "TRANSPOSE", "UNPACK",
})  # fmt: skip


def planned_activations(model: Any, network: Network, plan: Plan) -> dict[int, Activation]:
    """By index of a tensor of the main graph, those that the plan makes integers.

    The converter names a tensor after the ops it computes, `a;b;c`, and appends a digit where several
    operations came out of one: only the last of them computes what the op did.
    """
    if not plan.calibrated:
        return {}
    body = Program.of(network).main
    points = planned_points(body, plan)
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


def planned_weights(model: Any, network: Network, plan: Plan) -> dict[tuple[int, int], Weight]:
    """By (graph, tensor), the constants that the plan makes integers; `axes` are those of the tensor."""
    known = PlannedWeights(network, plan)
    return {
        (g, t): weight
        for g, graph in enumerate(model.subgraphs)
        for t, tensor in enumerate(graph.tensors)
        if flatbuffer.is_float32(tensor) and flatbuffer.constant(model, tensor)
        if (weight := known.find(flatbuffer.values(model, tensor))) and weight.scheme == "linear"
    }
