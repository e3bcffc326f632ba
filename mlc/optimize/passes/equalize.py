"""Cross-layer equalization: channels of unlike size → channels of like size, the function unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc.convert.graph import Body, Program
from mlc.optimize.passes.fold_batch_norm import scale_outputs
from mlc.optimize.passes.fold_input_scale import scale_inputs
from mlc.optimize.passes.linear import Linear, linear, linears

__all__ = ["Pair", "equalize", "pairs", "scale"]

Array = np.ndarray[Any, np.dtype[Any]]

# Ops between two linear ops that a positive scale per channel passes through unchanged.
_PASSES_SCALE = frozenset({
    "Relu", "Pad", "MaxPool", "AvgPool", "Mean", "Squeeze", "ExpandDims", "BiasAdd", "Identity",
})  # fmt: skip
_ROUNDS = 20
_SETTLED = 1e-3  # of the logarithm of a scale


@dataclass(frozen=True)
class Pair:
    """Two linear ops of which only the second sees what the first computes, and the bias between."""

    first: Linear
    second: Linear
    bias: str | None  # name of the constant


def equalize(program: Program) -> None:
    """Divide channel i of one linear op by sᵢ and multiply it back in the next.

    ::

        Before:  x ─► Conv2D(w₁) ─► BiasAdd(b₁) ─► Relu ─► Conv2D(w₂) ─► y

        After:   x ─► Conv2D(w₁/s) ─► BiasAdd(b₁/s) ─► Relu ─► Conv2D(s·w₂) ─► y

    with sᵢ = √(max|w₁ᵢ| / max|w₂ᵢ|), so that channel i spans the same in both (Nagel et al. 2019,
    equation 11), in rounds over all pairs until nothing moves. One scale for the whole tensor, of
    weights or of what lies between, then fits every channel. Relu6 clips at another place after
    scaling: `relu6_to_relu` comes first where it may. Requires: folded BatchNorm. Ensures: nothing
    outside of such pairs changes.
    """
    for body in program.bodies():
        found = pairs(body)
        for _ in range(_ROUNDS):
            moved = [_balance(body, pair) for pair in found]
            if max(moved, default=0) < _SETTLED:
                break


def pairs(body: Body) -> list[Pair]:
    """All pairs of linear ops between which channels can be scaled, in order."""
    return [pair for op in linears(body) if (pair := _pair(body, op))]


def scale(body: Body, pair: Pair, factors: Array) -> None:
    """Divide channel i of the first by factor i, and multiply it back in the second."""
    scale_outputs(body, pair.first, 1 / factors)
    scale_inputs(body, pair.second, factors)
    if pair.bias:
        bias = body.constant_value(pair.bias)
        body.set_constant(pair.bias, (bias / factors).astype(bias.dtype))


def _pair(body: Body, first: Linear) -> Pair | None:
    if first.shared:
        return None
    bias, node = None, first.node
    while (reader := body.only_reader(node.name)) is not None:
        second = linear(body, reader)
        if second is not None:
            fits = not second.shared and second.data.split(":")[0] == node.name
            same = fits and len(_outputs(body, first)) == len(_inputs(body, second))
            return Pair(first, second, bias) if same else None
        if reader.op not in _PASSES_SCALE or (reader.op == "BiasAdd" and bias is not None):
            return None
        if reader.op == "BiasAdd":
            bias = reader.input[1].split(":")[0]
            shared = len(body.consumers(bias)) > 1
            if body.nodes[bias].op != "Const" or shared or node.name != first.node.name:
                return None
        if reader.op in ("Mean", "Squeeze") and not _keeps_channels(body, node, reader):
            return None
        node = reader
    return None


def _keeps_channels(body: Body, before: Any, after: Any) -> bool:
    """Whether the last axis is the same channels behind an op that takes axes away."""
    shapes = body.shape(before.name), body.shape(after.name)
    return bool(shapes[0] and shapes[1] and shapes[0][-1] == shapes[1][-1] != 1)


def _outputs(body: Body, op: Linear) -> Array:
    """max|w| of each output channel."""
    weights = body.constant_value(op.kernel)
    others = tuple(i for i in range(weights.ndim) if i not in op.output_axes)
    ranges: Array = np.abs(weights).max(axis=others).reshape(-1)
    return ranges


def _inputs(body: Body, op: Linear) -> Array:
    """max|w| of what is multiplied with each input channel."""
    weights = body.constant_value(op.kernel)
    others = tuple(i for i in range(weights.ndim) if i != op.input_axis)
    ranges: Array = np.abs(weights).max(axis=others)
    return ranges


def _balance(body: Body, pair: Pair) -> float:
    """Scale one pair; returns the largest change, as a logarithm."""
    before, after = _outputs(body, pair.first), _inputs(body, pair.second)
    alive = (before > 0) & (after > 0)
    factors = np.where(alive, np.sqrt(np.where(alive, before, 1) / np.where(alive, after, 1)), 1.0)
    scale(body, pair, factors)
    return float(np.abs(np.log(factors)).max(initial=0))
