"""The plan: what was decided for each tensor, once, for every target to follow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mlc.errors import UsageError
from mlc.optimize.recipe import Recipe, named

__all__ = ["Activation", "Plan", "Weight", "dequantize", "quantize", "read_plan", "write_plan"]

Array = np.ndarray[Any, np.dtype[Any]]
FORMAT = 1


@dataclass(frozen=True)
class Weight:
    """One constant of the network.

    `linear` weights are `scale · integer`, symmetric, zero point 0, integers in ±(2^(bits−1) − 1). A
    scale belongs to one index of `axes` (flattened in their order); without axes there is one for the
    whole tensor. `palette` weights are indices into 2^bits values. `float` ones stay, for the `reason`
    given.
    """

    name: str  # the Const node
    op: str  # the kind of op that reads it
    scheme: Literal["linear", "palette", "float"]
    bits: int
    axes: tuple[int, ...] = ()
    scale: tuple[float, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Activation:
    """One tensor between ops: `real = scale · (integer − zero_point)`, `low` … `high` as calibrated.

    Integers are signed (int8, int16). `scale` is 0 where the tensor stays in float; `reason` says why.
    """

    name: str  # the node whose first output it is
    bits: int
    low: float
    high: float
    scale: float = 0.0
    zero_point: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """Everything that a target needs to know to write the network as the recipe asks.

    Every number is one of float32, so that the file holds it exactly. Names are those of the optimized
    network. `ranges` says how activations were calibrated, on how many samples; empty where they
    are not integers. `passes` names the passes that were kept because they help this plan.
    """

    recipe: Recipe
    weights: tuple[Weight, ...] = ()
    activations: tuple[Activation, ...] = ()
    ranges: str = ""
    passes: tuple[str, ...] = ()

    @cached_property
    def weight(self) -> Mapping[str, Weight]:
        """By name of the constant."""
        return {w.name: w for w in self.weights}

    @cached_property
    def activation(self) -> Mapping[str, Activation]:
        """By name of the node, those that are integers only."""
        return {a.name: a for a in self.activations if a.scale}

    @property
    def calibrated(self) -> bool:
        """Whether activations are integers: ranges were asked for, and there were data to find them."""
        return bool(self.activation)


def quantize(values: Array, weight: Weight) -> Array:
    """The integers of a linear weight: int8 of the shape of `values`."""
    most = 2 ** (weight.bits - 1) - 1
    scale = _broadcast(values, weight)
    integers: Array = np.clip(np.rint(values / scale), -most, most).astype(np.int8)
    return integers


def dequantize(integers: Array, weight: Weight) -> Array:
    """What the integers stand for, float32."""
    values: Array = (integers * _broadcast(integers, weight)).astype(np.float32)
    return values


def _broadcast(values: Array, weight: Weight) -> Array:
    shape = [values.shape[i] if i in weight.axes else 1 for i in range(values.ndim)]
    return np.asarray(weight.scale, np.float32).reshape(shape)


def write_plan(plan: Plan, path: Path) -> None:
    """Write `plan.json`: a line per tensor, so that two of them can be compared by `diff`."""
    path.write_text(_to_json(plan), encoding="utf-8")


def _to_json(plan: Plan) -> str:
    def lines(rows: tuple[Any, ...]) -> str:
        shown = (json.dumps(_short(asdict(row)), ensure_ascii=False) for row in rows)
        return "[" + ",".join(f"\n  {line}" for line in shown) + ("\n ]" if rows else "]")

    return (
        f'{{\n "format": {FORMAT},\n "recipe": {json.dumps(plan.recipe.name)},\n'
        f' "ranges": {json.dumps(plan.ranges)},\n "passes": {json.dumps(plan.passes)},\n'
        f' "weights": {lines(plan.weights)},\n "activations": {lines(plan.activations)}\n}}\n'
    )


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty; float32 in as few digits as name it."""
    return {k: _digits(v) for k, v in row.items() if v not in ("", ())}


def _digits(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_digits(v) for v in value]
    return float(str(np.float32(value))) if isinstance(value, float) else value


def read_plan(path: Path) -> Plan:
    """Read back what `write_plan` wrote; raises `UsageError` for anything else."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] != FORMAT:
            raise ValueError(f"format {stored['format']}, this mlc writes {FORMAT}")
        return Plan(
            recipe=named(stored["recipe"]),
            weights=tuple(Weight(**_exact(row)) for row in stored["weights"]),
            activations=tuple(Activation(**_exact(row)) for row in stored["activations"]),
            ranges=stored["ranges"],
            passes=tuple(stored["passes"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is not a plan of mlc: {error}.", "Give the plan.json of a bundle."
        ) from error


def _exact(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers as the float32 ones that their digits name, lists as tuples."""
    return {k: _number(v) for k, v in row.items()}


def _number(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_number(v) for v in value)
    return float(np.float32(value)) if isinstance(value, float) else value
