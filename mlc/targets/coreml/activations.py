"""Integer activations: a pair of quantize and dequantize wherever the plan stores a tensor in 8 bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mlc.convert.graph import Body
from mlc.optimize.plan import Activation, Plan

__all__ = ["named_activations", "quantize_activations"]

# Ops that change no value of what the plan calls by another name: coremltools puts them in for layouts
# and types.
_MOVES = frozenset(
    {"transpose", "reshape", "squeeze", "expand_dims", "cast", "identity", "pad", "slice_by_index"}
)
_HALF = "_cast_fp16"  # what coremltools appends to the name of an op that computes in float16
_REWRITTEN = "/mlc/"  # what a rewrite puts between the name of the op that it replaces and its own


def named_activations(body: Body, plan: Plan) -> dict[str, Activation]:
    """The plan's integer activations by the names that coremltools may give them.

    It drops a BiasAdd of zeros: what that would store, the op in front of it does.
    """
    found = dict(plan.activation)
    for node in body.find("BiasAdd"):
        bias = body.value(node.input[1])
        if node.name in found and bias is not None and not np.any(bias):
            found.setdefault(node.input[0].split(":")[0], found[node.name])
    return found


def quantize_activations(
    program: Any, activations: Mapping[str, Activation], picture: str | None
) -> set[str]:
    """Let every op read what 8 bits hold of a tensor; returns which of `activations` were found.

    ::

        Before:  conv ─► relu6 ─► conv

        After:   conv ─► relu6 ─► quantize ─► dequantize ─► conv

    Names carry over from the network. What only moves values has the scale of what it moves, and needs
    no pair of its own in front: the op that computes with the moved values reads them through one.
    `picture` names an input that a rewrite divides by a deviation per channel: the network's own input
    is what comes out of that.
    """
    block = program.functions["main"]
    known = {name: entry for name, entry in activations.items() if name != picture}
    with block:
        entries = _entries(block, known, activations)
        for value in list(entries):
            if value not in block.outputs and any(_computes(op, block) for op in value.child_ops):
                _insert(block, value, entries[value])
    return {entry.name for entry in entries.values()}


def _entries(
    block: Any, known: Mapping[str, Activation], all_of_them: Mapping[str, Activation]
) -> dict[Any, Activation]:
    """The decision for each float tensor that has one: by name, then along what only moves values."""
    found: dict[Any, Activation] = {}
    for value in _values(block):
        entry = known.get(value.name.removesuffix(_HALF)) or _of_rewrite(value, all_of_them)
        if entry is not None:
            found[value] = entry
    for op in reversed(block.operations):
        if op.op_type in _MOVES and op.outputs[0] in found and op.op_type != "pad":
            found.setdefault(op.inputs["x"], found[op.outputs[0]])
    for op in block.operations:
        if op.op_type in _MOVES and op.inputs["x"] in found and not _brings_values(op):
            found.setdefault(op.outputs[0], found[op.inputs["x"]])
    return {value: entry for value, entry in found.items() if _is_float(value)}


def _brings_values(op: Any) -> bool:
    """Whether a `pad` puts in other numbers than 0, which every range holds."""
    return bool(op.op_type == "pad" and op.mode.val == "constant" and op.constant_val.val != 0)


def _of_rewrite(value: Any, activations: Mapping[str, Activation]) -> Activation | None:
    """The decision for an op, where this is the last of those that a rewrite put in its place."""
    name, inside, _ = value.name.partition(_REWRITTEN)
    if inside and name in activations:
        scope = f"{name}{_REWRITTEN}"
        readers = [out.name for op in value.child_ops for out in op.outputs]
        if not any(reader.startswith(scope) for reader in readers):
            return activations[name]
    return None


def _values(block: Any) -> Iterator[Any]:
    """What the main block computes or is given, in order."""
    yield from block.inputs.values()
    for op in block.operations:
        if op.op_type != "const" and not op.op_type.startswith("constexpr_"):
            yield from op.outputs


def _is_float(value: Any) -> bool:
    return value.dtype.__name__ in ("fp16", "fp32")


def _computes(op: Any, block: Any) -> bool:
    """Whether a reader needs the rounded values itself; nested blocks, and the outputs, always do."""
    if op.op_type not in _MOVES or op.enclosing_block is not block:
        return True
    return op.outputs[0] in block.outputs


def _insert(block: Any, value: Any, entry: Activation) -> None:
    from coremltools.converters.mil import Builder as mb  # noqa: N813
    from coremltools.converters.mil.mil import types

    dtype = types.nptype_from_builtin(value.dtype)
    grid = {
        "scale": np.maximum(dtype(entry.scale), np.finfo(dtype).smallest_subnormal),
        "zero_point": np.int8(entry.zero_point),
    }
    operations = list(block.operations)
    where = operations[operations.index(value.op) + 1] if value.op else operations[0]
    name = value.name.removesuffix(_HALF)
    integers = mb.quantize(
        input=value, output_dtype="int8", **grid, before_op=where, name=f"{name}_quantized"
    )
    rounded = mb.dequantize(input=integers, **grid, before_op=where, name=f"{name}_dequantized")
    block.replace_uses_of_var_after_op(anchor_op=rounded.op, old_var=value, new_var=rounded)
