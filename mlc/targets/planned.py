"""The plan's tensors, found again in what a converter made of the network."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np

from mlc.convert.graph import Body, Program
from mlc.convert.network import Network
from mlc.optimize.plan import Activation, Plan, Weight

__all__ = ["PlannedWeights", "planned_points"]

Array = np.ndarray[Any, np.dtype[Any]]

_TOGETHER = ("BiasAdd", "Relu", "Relu6", "Identity")  # what may be computed with the op before


def planned_points(body: Body, plan: Plan) -> dict[str, Activation]:
    """By name, every op whose value is one of the plan's, or becomes one without being stored."""
    points = dict(plan.activation)
    for node in reversed(body.in_order()):
        if node.name not in points and node.op == "Identity":
            source = plan.activation.get(node.input[0].split(":")[0])
            if source:
                points[node.name] = source
        reader = body.only_reader(node.name)
        together = reader is not None and reader.op in _TOGETHER and reader.name in points
        if node.name not in points and together:
            points[node.name] = points[reader.name]
    return points


class PlannedWeights:
    """The constants that the plan compresses, known by their values.

    Converters transpose them and forget their names. State: an index of the network's constants.
    """

    def __init__(self, network: Network, plan: Plan) -> None:
        self._wanted: dict[bytes, list[tuple[Weight, Array]]] = defaultdict(list)
        body = Program.of(network).main
        for weight in plan.weights:
            if weight.scheme != "float":
                values = body.constant_value(weight.name)
                self._wanted[_fingerprint(values)].append((weight, values))

    def find(self, values: Array) -> Weight | None:
        """What the plan makes of these values; its `axes` are those of `values`, however transposed."""
        for weight, original in self._wanted.get(_fingerprint(values), []):
            axes = _axes(values, weight, original)
            if axes is not None:
                return replace(weight, axes=axes)
        return None


def _fingerprint(values: Array) -> bytes:
    """The same for all orders of the same values. Adding 0 makes 0 of -0, which sorts anywhere."""
    return np.sort(values + 0, axis=None).tobytes()


def _axes(values: Array, weight: Weight, original: Array) -> tuple[int, ...] | None:
    """The axes along which `values` has the channels of the original; None if there are none."""
    if not weight.axes or (values.shape == original.shape and np.array_equal(values, original)):
        return weight.axes
    peaks = _peaks(original, weight.axes)
    for axis in range(values.ndim):
        if np.array_equal(_peaks(values, (axis,)), peaks):
            return (axis,)
    return None


def _peaks(values: Array, axes: tuple[int, ...]) -> Array:
    others = tuple(i for i in range(values.ndim) if i not in axes)
    largest: Array = np.abs(values).max(axis=others).reshape(-1)
    return largest
