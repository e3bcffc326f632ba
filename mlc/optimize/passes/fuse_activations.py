"""Clipping spelled in several ops → the activation that every runtime fuses into the op before."""

from __future__ import annotations

from typing import Any

from mlc.convert.graph import Body, Program

__all__ = ["fuse_activations"]


def fuse_activations(program: Program) -> None:
    """Say `Relu` and `Relu6` where bounds of a clip mean them.

    ::

        Before:  x ─► Maximum(·, 0) ─► Minimum(·, 6) ─► y        x ─► Maximum(·, 0) ─► y
                 x ─► Minimum(·, 6) ─► Maximum(·, 0) ─► y
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
        if _is(body.value(node.input[1]), 0) and _is(body.value(node.input[2]), 6):
            body.become(node, "Relu6", [node.input[0]])
        return
    x = _clipped(body, node, "Maximum", 0)
    if x is not None:
        body.become(node, "Relu", [x])
    # Either bound may come first.
    if node.op == "Relu":
        x = _clipped(body, body.producer(node.input[0]), "Minimum", 6)
    else:
        x = _clipped(body, node, "Minimum", 6)
        before = body.producer(x) if x is not None else None
        x = before.input[0] if before is not None and before.op == "Relu" else None
    if x is not None:
        body.become(node, "Relu6", [x])


def _clipped(body: Body, node: Any, op: str, bound: float) -> str | None:
    """The tensor that `op` bounds by `bound`, or None if the node does not do that."""
    if node.op != op:
        return None
    values = [body.value(i) for i in node.input]
    if (values[0] is None) == (values[1] is None):
        return None
    x, value = (node.input[0], values[1]) if values[0] is None else (node.input[1], values[0])
    same = body.shape(x) == body.shape(node.name)
    return str(x) if same and _is(value, bound) else None


def _is(value: Any, number: float) -> bool:
    return value is not None and bool((value == number).all())
