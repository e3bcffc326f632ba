"""Weights of coremltools' program → what the plan decided.

The `constexpr` ops are written here instead of by coremltools' own compression: so the scales are the
plan's, nothing is clustered twice, and its silent defects (`docs/coreml.md`) cannot reach a package.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlc.errors import UnsupportedError
from mlc.optimize.decide import FEWEST, decide_weight
from mlc.optimize.plan import Weight
from mlc.optimize.recipe import Recipe
from mlc.targets.coreml.encode import Encoded, encode
from mlc.targets.coreml.evaluator import weights as evaluator_weights
from mlc.targets.coreml.layout import Planned, fingerprint
from mlc.targets.coreml.weight_errors import sqnr

__all__ = ["Stored", "compress_weights", "verify"]

Array = np.ndarray[Any, np.dtype[Any]]

# op → its parameters that hold weights, and the axis of their output channels
_WEIGHTS: dict[str, dict[str, int]] = {
    "conv": {"weight": 0},
    "conv_transpose": {"weight": 1},
    "linear": {"weight": 0},
    "matmul": {"x": -2, "y": -1},
    "gather": {"x": 0},
    "lstm": dict.fromkeys(("weight_ih", "weight_hh", "weight_ih_back", "weight_hh_back"), 0),
    "gru": {"weight_ih": 0, "weight_hh": 0},
    "rnn": {"weight_ih": 0, "weight_hh": 0},
}

_NOTHING = np.empty(0, np.float32)


@dataclass(frozen=True)
class Stored:
    """A weight that was compressed: its name in the package, and how.

    `sqnr` in dB is against the uncompressed constant. Without `planned` the plan has no such constant:
    one in a loop, say, or one that a rewrite made.
    """

    name: str
    encoded: Encoded
    planned: bool
    sqnr: float


def compress_weights(
    program: Any, constants: Mapping[str, Planned], recipe: Recipe, ios: int
) -> list[Stored]:
    """Replace, in coremltools' program, every weight that gets smaller; tell which.

    ::

        Before:  const(float16) ─► conv

        After:   const(int8), const(scale) ─► constexpr_… ─► conv

    Constants that the plan knows become what it says. Others that an op takes as weights, if they are as
    large as those that it decides on, are decided by the recipe in the same way.
    """
    stored = []
    for function in program.functions.values():
        with function:
            for weight, op, parameter in list(_weights(function)):
                found = constants.get(fingerprint(weight.val))
                if found is not None:
                    found = found.shaped(weight.shape)
                chosen = found or _undecided(weight, op, parameter, recipe)
                encoded = encode(
                    chosen.values, chosen.weight, recipe.palette, weight.val.dtype, ios
                )
                if encoded is not None:
                    new = _build(encoded, weight)
                    _replace(weight, new)
                    error = sqnr(weight.val, encoded.values)
                    name = _sanitized(new.name)
                    stored.append(Stored(name, encoded, found is not None, error))
    return stored


def verify(path: Path, stored: list[Stored]) -> None:
    """Read the package back: each weight must decode to exactly what was meant.

    Raises `UnsupportedError` where coremltools wrote something else.
    """
    found = evaluator_weights.stored(path)
    for weight in stored:
        meant = weight.encoded.values.astype(np.float32)
        if not np.array_equal(found.get(weight.name, _NOTHING), meant):
            raise UnsupportedError(
                f"coremltools wrote the compressed weight {weight.name} differently from what was meant.",
                "Build with --fp16, or leave Core ML out with --targets.",
            )


def _weights(block: Any) -> Iterator[tuple[Any, Any, str]]:
    """Float constants that ops take as weights, each once, with the op and the parameter's name."""
    seen = set[str]()
    for op in _walk(block):
        for parameter in _WEIGHTS.get(op.op_type, {}):
            value = op.inputs.get(parameter)
            if value is None or value.op is None or value.op.op_type != "const":
                continue
            if value.val.dtype.kind == "f" and value.rank > 0 and value.name not in seen:
                seen.add(value.name)
                yield value, op, parameter


def _walk(block: Any) -> Iterator[Any]:
    for op in block.operations:
        yield op
        for inner in op.blocks:
            yield from _walk(inner)


def _undecided(weight: Any, op: Any, parameter: str, recipe: Recipe) -> Planned:
    values = np.asarray(weight.val, np.float32)
    axis = _WEIGHTS[op.op_type][parameter] % values.ndim
    decided = Weight(weight.name, op.op_type, "float", 32)
    needed = recipe.integer_activations or values.size >= FEWEST
    if needed and recipe.weights not in ("float32", "float16"):
        decided = decide_weight(weight.name, op.op_type, values, (axis,), recipe)
    return Planned(values, decided)


def _build(encoded: Encoded, weight: Any) -> Any:
    """Write the ops in front of the constant; returns the weight's new variable."""
    from coremltools.converters.mil import Builder as mb  # noqa: N813

    build = getattr(mb, encoded.kind)
    where = {"before_op": weight.op}
    name = f"{weight.name}_compressed"
    if not encoded.sparse:
        return build(**encoded.parameters, **where, name=name)
    mask, nonzero = build(**encoded.parameters, **where, name=f"{name}_nonzero")
    return mb.constexpr_sparse_to_dense(nonzero_data=nonzero, mask=mask, **where, name=name)


def _replace(weight: Any, new: Any) -> None:
    block = weight.op.enclosing_block
    block.replace_uses_of_var_after_op(
        anchor_op=new.op, old_var=weight, new_var=new, force_replace=True
    )
    block.remove_ops([weight.op])


def _sanitized(name: str) -> str:
    """As coremltools writes names into the package."""
    return re.sub(r"\W", "_", name)
