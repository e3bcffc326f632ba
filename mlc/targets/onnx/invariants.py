"""What a loop only passes on is no state of the loop."""

from __future__ import annotations

from typing import Any

from mlc.targets.onnx.graphs import all_graphs, subgraphs

__all__ = ["hoist_invariants"]


def hoist_invariants(model: Any) -> None:
    """Let loop bodies read constants from outside, instead of carrying them from step to step.

    TensorFlow's loops own whatever they read, weights included. As constants they can be quantized,
    and folded by runtimes.

    ::

        Before:  Loop(w) ─► w'           body: w ─┬─► MatMul          After:  Loop     body: MatMul(w)
                                                  └─► Identity ─► w
    """
    for graph in all_graphs(model.graph):
        for node in graph.node:
            if node.op_type == "Loop":
                _hoist(graph, node)


def _hoist(graph: Any, loop: Any) -> None:
    (body,) = subgraphs(loop)
    passed = {n.output[0]: n.input[0] for n in body.node if n.op_type == "Identity"}
    used_after = _reads(graph)
    states = len(loop.input) - 2  # after the number of steps and the condition
    # Body inputs: step, condition, states. Body outputs: condition, states, then what is collected.
    for i in reversed(range(states)):
        inside, result = body.input[2 + i].name, body.output[1 + i].name
        while result in passed:
            result = passed[result]
        if result != inside or loop.output[i] in used_after:
            continue
        _rename(body, inside, loop.input[2 + i])
        del loop.input[2 + i], loop.output[i], body.input[2 + i], body.output[1 + i]


def _reads(graph: Any) -> set[str]:
    """Every tensor that a node, a body or an output here reads."""
    names = {o.name for o in graph.output}
    for node in graph.node:
        names.update(node.input)
        for body in subgraphs(node):
            names |= _reads(body)
    return names


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == old:
                node.input[i] = new
        for body in subgraphs(node):
            _rename(body, old, new)
