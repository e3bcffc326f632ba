"""Calls of functions → the function's nodes in their place."""

from __future__ import annotations

from typing import Any

from mlc.convert.graph import Body, Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["inline_calls"]


def inline_calls(program: Program, request: Request) -> None:
    """Inline every call that freezing left standing.

    Keras 3 wraps grouped convolutions in a function for XLA, which is never inlined by TensorFlow::

        Before:  x ─► StatefulPartitionedCall(f) ─► y        f: arg0 ─► Conv2D ─► identity

        After:   x ─► Conv2D ─► y

    coremltools reads the number of groups from the shapes of input and weight.
    """
    for body in program.bodies():
        for node in body.find("PartitionedCall", "StatefulPartitionedCall"):
            _inline(body, node)


def _inline(body: Body, node: Any) -> None:
    inner = body.calls.pop((node.name, "f"))
    arguments = dict(zip(inner.inputs, node.input, strict=True))

    def outside(reference: str) -> str:
        name, _, index = reference.partition(":")
        if name in arguments:
            return str(arguments[name])
        return f"{node.name}/{name}:{index}" if index else f"{node.name}/{name}"

    del body.nodes[node.name]
    for new in inner.nodes.values():
        if new.name in arguments:
            continue
        body.nodes[f"{node.name}/{new.name}"] = new
        references = [outside(i) for i in new.input]
        del new.input[:]
        new.input.extend(references)
        new.name = f"{node.name}/{new.name}"
    for (name, attribute), called in inner.calls.items():
        body.calls[f"{node.name}/{name}", attribute] = called
    body.redirect({(node.name, i): outside(o) for i, o in enumerate(inner.outputs)})
    body.prune()
    for again in body.find("PartitionedCall", "StatefulPartitionedCall"):
        if again.name.startswith(f"{node.name}/"):
            _inline(body, again)
