"""Clipping spelled in several ops → the activation that every runtime fuses into the op before."""

from __future__ import annotations

from typing import Any

from mlc.convert.graph import Body, Program

__all__ = ["fuse_activations"]


def fuse_activations(program: Program) -> None:
    """Say `Relu` and `Relu6` where bounds of a clip mean them.

    ::

        Before:  x ─► Maximum(·, 0) ─► Minimum(·, 6) ─► y        x ─► Maximum(·, 0) ─► y
                 x ─► Relu ─► Minimum(·, 6) ─► y
                 x ─► ClipByValue(0, 6) ─► y

        After:   x ─► Relu6 ─► y                                 x ─► Relu ─► y

    Requires: folded constants. Ensures: no clip to 0…6 in other words. The converters fuse both
    activations into the linear op before; none of them fuses a `Minimum`.
    """
    for body in program.bodies():
        for node in body.in_order():
            _rename(body, node)
        body.prune()


def _rename(body: Body, node: Any) -> None:
    if node.op == "ClipByValue":
        low, high = body.value(node.input[1]), body.value(node.input[2])
        if _is(low, 0) and _is(high, 6):
            body.become(node, "Relu6", [node.input[0]])
    elif node.op == "Maximum":
        x, bound = _bounded(body, node)
        if x is not None and _is(bound, 0):
            body.become(node, "Relu", [x])
    elif node.op == "Minimum":
        x, bound = _bounded(body, node)
        if x is None or not _is(bound, 6) or ":" in x:
            return
        before = body.nodes[x]
        if before.op == "Relu":
            body.become(node, "Relu6", [before.input[0]])


def _bounded(body: Body, node: Any) -> tuple[str | None, Any]:
    """The tensor and the constant of a Minimum or Maximum."""
    values = [body.value(i) for i in node.input]
    if (values[0] is None) == (values[1] is None):
        return None, None
    x = node.input[0] if values[0] is None else node.input[1]
    same = body.shape(x) == body.shape(node.name)
    return (x if same else None), (values[1] if values[0] is None else values[0])


def _is(value: Any, number: float) -> bool:
    return value is not None and bool((value == number).all())
