"""Keras 3's argmax, which looks at the sign bit of zeros → the plain one."""

from __future__ import annotations

from mlc.convert.graph import Body, Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["argmax_of_bits"]


def argmax_of_bits(program: Program, request: Request) -> None:
    """Drop the distinction of -0.0 from 0.0, which Bitcast makes and Core ML cannot.

    ::

        Before:  x ─┬─► Equal(·, 0) ────────────────────► LogicalAnd ─┐
                    ├─► Bitcast ─► BitwiseAnd ─► Less(·, 0) ─┘        │
                    └─────────────────────────► SelectV2(·, -tiny, x) ┴─► ArgMax ─► i

        After:   x ─► ArgMax ─► i

    Precondition: only ArgMax and ArgMin read the selection. The answer differs only where -0.0 and
    0.0 tie for the extreme.
    """
    for body in program.bodies():
        for node in body.find("SelectV2"):
            readers = {n.op for n in body.consumers(node.name)}
            if readers and readers <= {"ArgMax", "ArgMin"} and _is_signed_zero(body, node.input[0]):
                body.redirect({(node.name, 0): node.input[2]})
        body.prune()


def _is_signed_zero(body: Body, reference: str) -> bool:
    both = body.producer(reference)
    if both.op != "LogicalAnd":
        return False
    for one in both.input:
        less = body.producer(one)
        if less.op == "Less":
            masked = body.producer(less.input[0])
            kinds = masked.op, body.producer(masked.input[0]).op
            return kinds == ("BitwiseAnd", "Bitcast")
    return False
