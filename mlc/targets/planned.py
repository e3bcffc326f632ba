"""The plan's tensors, found again in what a converter made of the network."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mlc.convert.graph import Body, Program
from mlc.convert.network import Network
from mlc.optimize.plan import Activation, Plan, Weight

__all__ = ["PlannedWeights", "listed", "mostly_narrow", "notes_on_activations", "planned_points"]

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


def notes_on_activations(plan: Plan, stored: Mapping[str, float]) -> Iterator[str]:
    """Sentences on the plan's integer activations that a file holds otherwise.

    `stored` has the scale of each that is integers in the file, by its name in the plan.
    """
    left = [name for name in plan.activation if name not in stored]
    if left:
        yield (
            f"{len(left)} of the plan's {len(plan.activation)} integer activations are not stored as "
            f"integers here: {listed(left)}."
        )
    ratios = {
        name: scale / plan.activation[name].scale
        for name, scale in stored.items()
        if np.float32(scale) != np.float32(plan.activation[name].scale)
    }
    if ratios:
        worst = max(ratios.values(), key=lambda ratio: abs(np.log(ratio)))
        yield (
            f"{len(ratios)} of {len(stored)} integer activations have another scale than the plan's, by "
            f"a factor of {worst:.4g} at most: {listed(list(ratios))}."
        )


def listed(names: Sequence[str]) -> str:
    """The first three, and how many more."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def mostly_narrow(arrays: Iterable[Array], bits: int) -> bool:
    """Whether most numbers are in matrices and kernels of no more than 2^bits distinct values.

    So a format that stores 4-bit weights in more bits is asked what it holds, not what it was told to.
    """
    kernels = [a for a in arrays if a.size > max((2**bits, *a.shape))]  # no scales, no biases
    # Widened: numpy 2.1 puts float16 into no order on CPUs with AVX-512 (x86-simd-sort, PR 113).
    narrow = sum(k.size for k in kernels if np.unique(k.astype(np.float32)).size <= 2**bits)
    return bool(2 * narrow > sum(k.size for k in kernels))


class PlannedWeights:
    """The constants that the plan decides on, known by their values.

    Converters transpose them and forget their names. State: an index of the network's constants.
    """

    def __init__(self, network: Network, plan: Plan) -> None:
        self._wanted: dict[bytes, list[tuple[Weight, Array]]] = defaultdict(list)
        body = Program.of(network).main
        for weight in plan.weights:
            values = body.constant_value(weight.name)
            self._wanted[_fingerprint(values)].append((weight, values))

    def find(self, values: Array) -> Weight | None:
        """What becomes of these values; its `axes` are those of `values`, however transposed."""
        for weight, original in self._wanted.get(_fingerprint(values), []):
            axes = _axes(values, weight, original)
            if axes is not None:
                return replace(weight, axes=axes)
        return None


def _fingerprint(values: Array) -> bytes:
    """The same for all orders of the same values. Adding 0 makes 0 of -0, which sorts anywhere."""
    return hashlib.sha256(np.sort(values + 0, axis=None).tobytes()).digest()


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
