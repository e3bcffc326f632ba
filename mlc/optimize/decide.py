"""Network, recipe and ranges → plan: what each tensor becomes, and what stays in float and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mlc.convert.graph import Body
from mlc.optimize.exact import exact
from mlc.optimize.passes.linear import linears
from mlc.optimize.plan import Activation, Plan, Weight
from mlc.optimize.ranges import Estimator, Histogram, estimate
from mlc.optimize.recipe import Recipe

__all__ = [
    "FEWEST",
    "FIXED",
    "activation_points",
    "decide_activations",
    "decide_weight",
    "decide_weights",
    "with_integer_outputs",
]

Array = np.ndarray[Any, np.dtype[Any]]

# A scale or a table costs more than it saves below this many elements, and so little memory is at stake.
# With integer activations every linear op needs integer weights, however few.
FEWEST = 1024

_FUSED = ("Relu", "Relu6")  # what every runtime computes together with the op before
_BEFORE_FUSED = ("BiasAdd", "AddV2", "Add", "Sub", "Mul")

# Ops that only move values: integer kernels demand the same scale on both sides.
_MOVES = frozenset({
    "Reshape", "Squeeze", "ExpandDims", "Transpose", "Pad", "PadV2", "MirrorPad", "MaxPool", "AvgPool",
    "StridedSlice", "Slice", "GatherV2", "ResizeNearestNeighbor", "ResizeBilinear", "SpaceToBatchND",
    "BatchToSpaceND", "SpaceToDepth", "DepthToSpace", "ConcatV2", "Split", "SplitV", "Pack", "Unpack",
    "Tile", "ReverseV2",
})  # fmt: skip

# Ops whose integer kernels write one fixed range: (low, high) at 8 bits.
FIXED = {"Sigmoid": (0.0, 255 / 256), "Softmax": (0.0, 255 / 256), "Tanh": (-1.0, 127 / 128)}

_COARSE = "in 8 bits it moves in steps of 1/256, too coarse to tell many classes apart"


def decide_weights(body: Body, recipe: Recipe) -> tuple[Weight, ...]:
    """A row for each constant that is large enough to matter, in the order of computation.

    Linear weights get symmetric scales `max|w| / (2^(bits−1) − 1)`, one per output channel unless the
    recipe says per tensor; tables of embeddings one per row.
    """
    if recipe.weights in ("float32", "float16"):
        return ()
    rows: dict[str, Weight] = {}
    for op in linears(body):
        values = body.constant_value(op.kernel)
        needed = recipe.integer_activations or values.size >= FEWEST
        if op.kernel not in rows and values.dtype == np.float32 and needed:
            rows[op.kernel] = decide_weight(op.kernel, op.node.op, values, op.output_axes, recipe)
    for node in body.in_order():
        for reference in node.input:
            name = reference.split(":")[0]
            values = body.value(name)
            if name in rows or values is None or values.dtype != np.float32:
                continue
            if values.size < FEWEST or values.ndim < 2:
                continue
            if node.op in ("GatherV2", "Gather", "ResourceGather") and name == node.input[0]:
                rows[name] = decide_weight(name, node.op, values, (0,), recipe)
            else:
                reason = f"{node.op} is no linear op"
                rows[name] = Weight(name, node.op, "float", 32, reason=reason)
    return tuple(rows.values())


def decide_weight(
    name: str, op: str, values: Array, axes: tuple[int, ...], recipe: Recipe
) -> Weight:
    """What one constant becomes; `axes` are those of the output channels."""
    if not np.isfinite(values).all():
        return Weight(name, op, "float", 32, reason="it holds values that are not finite")
    bits = recipe.weight_bits
    if recipe.palettized:
        return Weight(name, op, "palette", bits)
    axes = axes if recipe.per_channel else ()
    others = tuple(i for i in range(values.ndim) if i not in axes)
    peak = np.abs(values).max(axis=others).reshape(-1)
    scale = exact(np.where(peak == 0, 1, peak) / (2 ** (bits - 1) - 1))
    return Weight(name, op, "linear", bits, axes, tuple(map(float, scale)))


def activation_points(body: Body) -> list[str]:
    """Nodes whose output is stored between ops, float32 and in the main graph, in order.

    What a runtime computes in one go has no stored value in between::

        Conv2D ─► BiasAdd ─► Relu6 ─●─► …          ● the only point of the three
    """
    linear_ops = {op.node.name for op in linears(body)}
    points = []
    for node in body.in_order():
        if node.op in ("Const", "Identity") or body.tensor(node.name).dtype.name != "float32":
            continue
        reader = body.only_reader(node.name)
        inner = reader is not None and (
            reader.op == "BiasAdd"
            or (reader.op in _FUSED and (node.op in _BEFORE_FUSED or node.name in linear_ops))
        )
        if not inner:
            points.append(node.name)
    return points


def decide_activations(
    body: Body,
    recipe: Recipe,
    histograms: Mapping[str, Histogram],
    estimator: Estimator,
) -> tuple[Activation, ...]:
    """Scale and zero point of each calibrated tensor, in the order of `histograms`.

    8 bits: asymmetric over the estimated range, which is widened to contain 0. 16 bits: symmetric, zero
    point 0, as integer kernels demand. Tensors that ops only move share the scale of where they come
    from. A softmax that ends the network stays in float; see `with_integer_outputs`.
    """
    bits = 16 if recipe.activations == "int16" else 8
    last = {body.nodes[o.split(":")[0]].input[0] for o in body.outputs}
    shared = _shared_ranges(
        body, {name: estimate(h, estimator, bits) for name, h in histograms.items()}
    )
    rows = []
    for name in histograms:
        node = body.nodes[name]
        low, high = (float(np.float32(end)) for end in shared[name])
        if not np.isfinite([low, high]).all():
            rows.append(Activation(name, 32, 0.0, 0.0, reason="its values are not finite"))
        elif node.op == "Softmax" and name in last:
            rows.append(Activation(name, 32, low, high, reason=_COARSE))
        else:
            if node.op in FIXED and bits == 8:
                low, high = FIXED[node.op]
            rows.append(Activation(name, bits, low, high, *_affine(low, high, bits)))
    return tuple(rows)


def with_integer_outputs(plan: Plan) -> Plan:
    """The plan where outputs must be integers: a softmax that ends the network becomes 8 bits too."""
    low, high = FIXED["Softmax"]
    rows = tuple(
        Activation(a.name, 8, low, high, *_affine(low, high, 8)) if a.reason == _COARSE else a
        for a in plan.activations
    )
    return replace(plan, activations=rows)


def _affine(low: float, high: float, bits: int) -> tuple[float, int]:
    """Scale and zero point; a tensor that is always 0 gets any scale."""
    if bits == 16:
        return float(exact(np.array(max(-low, high, 1e-30) / 32767))), 0
    scale = exact(np.array(max(high - low, 1e-30) / 255))
    return float(scale), int(np.clip(np.rint(-128 - low / scale), -128, 127))


def _shared_ranges(
    body: Body, ranges: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """One range for all tensors that are moved into one another: it spans them all."""
    parent = {name: name for name in ranges}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for name in ranges:
        node = body.nodes[name]
        if node.op in _MOVES:
            for reference in node.input:
                other = reference.split(":")[0]
                if other in parent:
                    parent[root(name)] = root(other)
    spans: dict[str, tuple[float, float]] = {}
    for name, (low, high) in ranges.items():
        group = root(name)
        known = spans.get(group, (low, high))
        spans[group] = min(known[0], low), max(known[1], high)
    return {name: spans[root(name)] for name in ranges}
