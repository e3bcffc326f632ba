"""The plan's constants as Core ML lays them out: the same numbers, axes in another order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlc.convert.graph import Body
from mlc.optimize.plan import Plan, Weight

__all__ = ["Planned", "fingerprint", "planned"]

Array = np.ndarray[Any, np.dtype[Any]]

_DEPTHWISE = "DepthwiseConv2dNative"


@dataclass(frozen=True)
class Planned:
    """A constant of the network and what the plan decided for it, its axes those of `values`."""

    values: Array  # float32
    weight: Weight

    def shaped(self, shape: tuple[int, ...]) -> Planned:
        """The same with axes of length 1 put in or left out."""
        longer = [i for i, size in enumerate(self.values.shape) if size > 1]
        places = dict(zip(longer, (i for i, size in enumerate(shape) if size > 1), strict=True))
        axes = tuple(places[i] for i in self.weight.axes if i in places)
        return Planned(self.values.reshape(shape), replace(self.weight, axes=axes))


def planned(body: Body, plan: Plan) -> dict[str, Planned]:
    """Every constant of the plan by the `fingerprint` that it may have in Core ML's program.

    coremltools renames constants, but what it does to their numbers is known: convolutions want the
    output channels first, matrix products are written both ways.
    """
    found: dict[str, Planned] = {}
    for weight in plan.weights:
        for laid_out in _layouts(Planned(body.constant_value(weight.name), weight)):
            found.setdefault(fingerprint(laid_out.values), laid_out)
    return found


def fingerprint(values: Array) -> str:
    """Of the numbers as float16, and of the shape without axes of length 1."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16) + np.float16(0)  # -0 is 0
    shape = [size for size in half.shape if size > 1]
    return f"{shape} {hashlib.sha256(half.tobytes()).hexdigest()}"


def _layouts(constant: Planned) -> Iterator[Planned]:
    yield constant
    rank = constant.values.ndim
    if constant.weight.op == _DEPTHWISE:
        # (height, width, channel, multiplier) → (channel · multiplier, 1, height, width)
        height, width, *_ = constant.values.shape
        merged = constant.values.reshape(height, width, 1, -1)
        weight = replace(constant.weight, axes=(3,) if constant.weight.axes else ())
        constant = Planned(merged, weight)
    if rank >= 2:
        # (…, in, out) → (out, in, …), of a transposed convolution (…, out, in) → (in, out, …)
        order = (rank - 1, rank - 2, *range(rank - 2))
        axes = tuple(order.index(i) for i in constant.weight.axes)
        moved = np.ascontiguousarray(constant.values.transpose(order))
        yield Planned(moved, replace(constant.weight, axes=axes))
