"""Ops on constants → one constant."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlc.convert.graph import CALLS, Body, Program

__all__ = ["fold_constants"]

_LEAST_LIMIT = 64 * 1024  # bytes that a folded constant may always have
_SHAPES = ("Shape", "Size", "Rank")


def fold_constants(program: Program) -> None:
    """Compute everything that does not depend on the inputs, shapes included where they are fixed.

    ::

        Before:  Const ─► Identity ──┐
                 Const ─► Rsqrt ─► Mul ─► Conv2D
                 Const ──────────┘

        After:   Const ─► Conv2D

    Requires: nothing. Ensures: no op of the main graph has constant inputs only, but ops with state, and
    those whose result is more than twice as large as what it is made of (`Fill`, `Tile`): the file would
    grow. Loop bodies are left to the converters, which know loops by their form.
    """
    body = program.main
    constant = _constant_nodes(body)
    frontier = sorted(
        {
            reference
            for node in body.nodes.values()
            if node.name not in constant
            for reference in node.input
            if reference.split(":")[0] in constant and body.producer(reference).op != "Const"
        }
    )
    values = body.evaluate(frontier)
    folded: dict[tuple[str, int], str] = {}
    for reference, value in zip(frontier, values, strict=True):
        if value.nbytes <= max(_LEAST_LIMIT, 2 * _bytes_behind(body, reference)):
            name, _, index = reference.partition(":")
            folded[name, int(index or 0)] = body.add_constant(f"{name}/folded", value)
    body.redirect(folded)
    body.prune()
    _take_names(body, folded)


def _constant_nodes(body: Body) -> set[str]:
    """Names of the nodes whose outputs are the same whatever the inputs are."""
    from tensorflow.core.framework.types_pb2 import DT_VARIANT
    from tensorflow.python.framework import op_def_registry

    known: dict[str, bool] = {}

    def decide(node: Any) -> bool:
        if node.op in ("Const", *_SHAPES):
            return node.op == "Const" or _is_fixed(body, node.input[0])
        definition = op_def_registry.get(node.op)
        usable = definition is not None and not definition.is_stateful and node.op not in CALLS
        if usable and any(o.type == DT_VARIANT for o in definition.output_arg):  # lists of loops
            return False
        return bool(usable and node.input) and all(known[i.split(":")[0]] for i in node.input)

    for node in body.in_order():
        known[node.name] = decide(node)
    return {name for name, constant in known.items() if constant}


def _is_fixed(body: Body, reference: str) -> bool:
    shape = body.shape(reference)
    return shape is not None and None not in shape


def _bytes_behind(body: Body, reference: str) -> int:
    """Bytes of the constants that a reference is computed from."""
    import tensorflow as tf

    waiting, seen, total = [reference.split(":")[0]], set(), 0
    while waiting:
        node = body.nodes[waiting.pop()]
        if node.name in seen:
            continue
        seen.add(node.name)
        if node.op == "Const":
            total += int(np.prod([d.size for d in node.attr["value"].tensor.tensor_shape.dim])) * (
                tf.dtypes.as_dtype(node.attr["dtype"].type).size or 1
            )
        elif node.op not in _SHAPES:
            waiting += [i.split(":")[0] for i in node.input]
    return total


def _take_names(body: Body, folded: dict[tuple[str, int], str]) -> None:
    """A constant takes the name of the op it replaces, so that plans name what the source named."""
    renamed = {
        (constant, 0): name
        for (name, index), constant in folded.items()
        if index == 0 and name not in body.nodes and constant in body.nodes
    }
    for (constant, _), name in renamed.items():
        node = body.nodes.pop(constant)
        node.name = name
        body.nodes[name] = node
    body.redirect(renamed)
