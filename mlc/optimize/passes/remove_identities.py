"""Ops that pass their input on, in inference → nothing."""

from __future__ import annotations

from typing import Any

from mlc.convert.graph import Body, Program

__all__ = ["remove_identities"]

_NEUTRAL = {"Mul": 1.0, "AddV2": 0.0, "Add": 0.0, "Sub": 0.0, "RealDiv": 1.0}
# What training needs: gradients, checks, logs.
_TRAINING = (
    "Identity", "Snapshot", "StopGradient", "PreventGradient", "CheckNumerics", "Print", "PrintV2",
    "PlaceholderWithDefault", "FakeQuantWithMinMaxVarsGradient",
)  # fmt: skip


def remove_identities(program: Program) -> None:
    """Remove what only training needs, and arithmetic that changes nothing.

    ::

        Before:  x ─► StopGradient ─► Identity ─► Mul(·, 1) ─► Relu ─► Identity(output)

        After:   x ─► Relu ─► Identity(output)

    Dropout, noise and augmentation are gone since freezing: they are traced for inference. Requires:
    folded constants. Ensures: the only identities are those that carry the names of the outputs.
    """
    for body in program.bodies():
        outputs = {o.split(":")[0] for o in body.outputs}
        for node in list(body.nodes.values()):
            if node.name not in outputs and (passed := _passed_on(body, node)) is not None:
                body.redirect({(node.name, 0): passed})
        body.prune()


def _passed_on(body: Body, node: Any) -> str | None:
    """The input that this node returns as it is, or None."""
    if node.op in _TRAINING:
        return str(node.input[0])
    if node.op == "Cast" and node.attr["SrcT"].type == node.attr["DstT"].type:
        return str(node.input[0])
    if node.op == "Reshape" and _same_shape(body, node):
        return str(node.input[0])
    if node.op in _NEUTRAL:
        value = body.value(node.input[1])
        neutral = value is not None and (value == _NEUTRAL[node.op]).all()
        if neutral and _same_shape(body, node):
            return str(node.input[0])
    return None


def _same_shape(body: Body, node: Any) -> bool:
    before, after = body.shape(node.input[0]), body.shape(node.name)
    return before is not None and None not in before and before == after
