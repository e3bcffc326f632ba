"""Measures every value that a program computes, inside of onnxruntime.

A network's values do not fit into memory all at once; their largest magnitudes do. So the graph itself
reduces each value to a few figures as soon as it is computed, and only these leave the session.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc.targets.coreml.evaluator.lowering import REGISTRY, Call, Graph
from mlc.targets.coreml.evaluator.program import Op, Value

__all__ = ["Figures", "Measurement", "Meters"]

Array = np.ndarray[Any, np.dtype[Any]]

# Ops whose results are sums of products (or of elements), and the parameters that enter these products.
_SUMS = {
    "avg_pool": ("x",),
    "conv": ("x", "weight", "bias"),
    "conv_transpose": ("x", "weight", "bias"),
    "cumsum": ("x",),
    "einsum": ("values",),
    "linear": ("x", "weight", "bias"),
    "matmul": ("x", "y"),
    "reduce_mean": ("x",),
    "reduce_sum": ("x",),
}
# Of those the ones whose results are divided by the number of summands in the end.
_MEANS = ("avg_pool", "reduce_mean")


@dataclass(frozen=True)
class Figures:
    """What is known of one value over all runs so far, besides that it has `size` elements in all.

    `lowest` and `highest` are of the elements before they are rounded to the declared type, and mean
    something only where all are numbers. `infinite` and `nan` tell whether any element is, after that
    rounding; where some are NaN, `infinite` is not known and False. `flushed` elements became zero by it.
    """

    lowest: float = np.inf
    highest: float = -np.inf
    infinite: bool = False
    nan: bool = False
    flushed: int = 0
    size: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            float(np.fmin(self.lowest, other.lowest)),
            float(np.fmax(self.highest, other.highest)),
            self.infinite or other.infinite,
            self.nan or other.nan,
            self.flushed + other.flushed,
            self.size + other.size,
        )

    @property
    def finite(self) -> bool:
        """Whether no element is infinite or NaN."""
        return not self.infinite and not self.nan

    @property
    def largest(self) -> float:
        """Max |x|: infinite where an element is, and NaN where one is."""
        if self.nan:
            return np.nan
        return np.inf if self.infinite else max(abs(self.lowest), abs(self.highest), 0.0)


@dataclass(frozen=True)
class Measurement:
    """Figures of one run. `values` and `sums` are by MIL name, `outputs` as `Evaluator.run` gives them.

    A sum is the largest Σ|x|·|w| behind any element of that value: what an accumulator may reach on the
    way, whatever the order of the summands, even where they cancel. Of float16 values, and in the mode
    `float32` only.
    """

    values: Mapping[str, Figures]
    sums: Mapping[str, float]
    outputs: Mapping[str, Array]


class Meters:
    """Attaches meters to every float value that is bound in a graph. State: where they are.

    A `Watch` of `lower`. onnxruntime is free to compute all values first and all figures afterwards, and
    keeps them all alive until then. So what reads a value is made to depend on its figures: it reads it
    through a `Reshape` (which copies nothing) to the shape that the value has already, plus a zero that
    is only known once the figures are.
    """

    def __init__(self) -> None:
        self._rows: dict[str, str] = {}  # MIL name -> ONNX vector of six figures
        self._sums: dict[str, str] = {}  # MIL name -> ONNX vector of one

    def __call__(self, graph: Graph, value: Value, name: str, unrounded: str) -> str:
        """Measure a value, and return the tensor to read instead."""
        if not value.type.is_float or 0 in value.type.shape:
            return name
        known = self._rows[value.name] = _row(graph, name, unrounded)
        half = value.type.dtype == "float16"
        if graph.mode == "float32" and half and value.op and value.op.kind in _SUMS:
            self._sums[value.name] = _accumulated(graph, value.op)
            known = _joined(graph, [known, self._sums[value.name]])
        never = graph.node("Less", known, graph.constant(np.full(1, -np.inf, np.float32)))
        zero = _reduced(graph, "ReduceMax", graph.cast(never, "int64"))
        shape = graph.node("Add", graph.shape(name), zero)
        return graph.node("Reshape", name, shape, allowzero=1)

    def results(self, graph: Graph) -> list[str]:
        """Gather the figures into one matrix, and the sums into one vector if there are any."""
        matrix = graph.node("Reshape", _joined(graph, [*self._rows.values()]), graph.ints([-1, 6]))
        return [matrix, *([_joined(graph, [*self._sums.values()])] if self._sums else [])]

    def read(self, arrays: list[Array], outputs: Mapping[str, Array]) -> Measurement:
        """What the session returned for `results`, as figures."""
        values = {name: _figures(row) for name, row in zip(self._rows, arrays[0], strict=True)}
        sums = dict(zip(self._sums, map(float, arrays[1]), strict=True)) if self._sums else {}
        return Measurement(values, sums, outputs)


def _figures(row: Array) -> Figures:
    lowest, highest, magnitudes, before, after, size = (float(figure) for figure in row)
    flushed = int(before - after) if math.isfinite(magnitudes) else 0
    return Figures(
        lowest, highest, math.isinf(magnitudes), math.isnan(magnitudes), flushed, int(size)
    )


def _row(graph: Graph, rounded: str, unrounded: str) -> str:
    """A value's lowest, highest, Σ|x| after rounding, non-zeros before and after it, and size.

    Σ|x| is NaN where any element is, else infinite where any is: float32 has room for any finite sum
    of float16.
    """
    after = graph.node("Reshape", rounded, graph.ints([-1]))
    before, nonzero = after, [graph.constant(np.zeros(1, np.float32))] * 2
    if unrounded != rounded:
        before = graph.node("Reshape", unrounded, graph.ints([-1]))
        nonzero = [_reduced(graph, "ReduceL1", graph.node("Sign", x)) for x in (before, after)]
    size = graph.node("Reshape", graph.node("Size", after), graph.ints([1]))
    figures = [
        _reduced(graph, "ReduceMin", before),
        _reduced(graph, "ReduceMax", before),
        _reduced(graph, "ReduceL1", after),
        *nonzero,
        graph.cast(size, "float32"),
    ]
    return _joined(graph, figures)


def _joined(graph: Graph, vectors: list[str]) -> str:
    return graph.node("Concat", *vectors, axis=0)


def _reduced(graph: Graph, kind: str, flat: str) -> str:
    """One figure of a flat tensor, as a vector."""
    return graph.node(kind, flat, graph.ints([0]), keepdims=1)


def _accumulated(graph: Graph, op: Op) -> str:
    """The largest Σ|x|·|w| of an op: the op itself once more, on magnitudes."""
    parameters = {
        name: tuple(_absolute(graph, v) for v in values) if name in _SUMS[op.kind] else values
        for name, values in op.parameters.items()
    }
    twin = Op(op.kind, op.name, parameters, op.outputs)
    rule = REGISTRY[op.kind]
    found = rule.lower(graph, Call(graph, twin, rule))
    result = found if isinstance(found, str) else found[0]
    largest = _reduced(graph, "ReduceMax", graph.node("Reshape", result, graph.ints([-1])))
    if op.kind in _MEANS:
        largest = graph.node("Mul", largest, _summands(graph, op, result))
    return largest


def _summands(graph: Graph, op: Op, result: str) -> str:
    """How many elements each mean is taken of."""
    if op.kind == "avg_pool":
        window = op.parameters["kernel_sizes"][0].constant
        return graph.constant(np.float32(np.prod(window)).reshape(1))
    sizes = [graph.node("Size", n) for n in (graph.tensor(op.parameters["x"][0]), result)]
    return graph.node("Reshape", graph.cast(graph.node("Div", *sizes), "float32"), graph.ints([1]))


def _absolute(graph: Graph, value: Value) -> Value:
    if value.is_constant:
        return Value(value.name, value.type, lambda: np.abs(value.constant))
    absolute = Value(value.name, value.type)
    graph.carry(absolute, graph.node("Abs", graph.tensor(value)))
    return absolute
