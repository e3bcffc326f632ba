"""Inputs made up from the declared input range, for where there are no data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from mlc.convert.network import Network, TensorSpec
from mlc.convert.pictures import takes_picture
from mlc.convert.preprocessing import Preprocessing
from mlc.data.dataset import Array, Sample

__all__ = ["Synthesized", "picture", "synthesize"]

Range = tuple[float, float]

_PIXELS: tuple[Range, ...] = ((0, 255), (-1, 1), (0, 1))
_OPEN_DIMENSION = 32  # length of an axis that the network leaves open


@dataclass(frozen=True)
class Synthesized:
    """Random inputs, the same in every run. They prove equal arithmetic, never accuracy."""

    inputs: tuple[TensorSpec, ...]
    ranges: tuple[tuple[Range, ...], ...]  # of each input; several take turns
    whole: frozenset[str]  # inputs that take whole numbers only
    count: int
    pictures: frozenset[str] = frozenset()  # inputs that are pictures, preprocessed as declared
    preprocessing: Preprocessing | None = None
    labelled: bool = False

    @property
    def title(self) -> str:
        """Says that they are made up, and from which range."""
        spans = ", ".join(f"{low:g} … {high:g}" for low, high in sorted(set(chain(*self.ranges))))
        return f"{self.count} made-up inputs in {spans} (no data given)"

    @property
    def fingerprint(self) -> str:
        """They depend on nothing else."""
        return (
            f"{self.inputs} {self.ranges} {sorted(self.whole)} {self.count} "
            f"{sorted(self.pictures)} {self.preprocessing}"
        )

    def samples(self) -> Iterator[Sample]:
        """Each from a seed of its own, so that fewer samples are the first of more."""
        for k in range(self.count):
            rng = np.random.default_rng(k)
            yield Sample(
                {
                    spec.name: self._draw(rng, spec, turns[k % len(turns)])
                    for spec, turns in zip(self.inputs, self.ranges, strict=True)
                }
            )

    def _draw(self, rng: np.random.Generator, spec: TensorSpec, span: Range) -> Array:
        if self.preprocessing and spec.name in self.pictures:
            pixels = np.round(255 * picture(rng, *_sizes(spec)))
            return self.preprocessing.tensor(pixels).astype(spec.dtype)
        return _draw(rng, spec, *span, spec.name in self.whole)

    def few(self, count: int) -> Synthesized:
        """The first ones."""
        return replace(self, count=min(count, self.count))


def synthesize(network: Network, count: int, declared: Range | None = None) -> Synthesized:
    """Made-up inputs over `declared`, else over what is known of each input.

    Pictures are of whole pixels, preprocessed as declared; where nothing is declared the usual ranges of
    pixels take turns, because in a wrong one a network may answer the same to everything. Indices of an
    embedding span the rows of its table, other floats −3..3, other integers 0..9.
    """
    ranges = tuple((declared,) if declared else _ranges(s, network) for s in network.inputs)
    whole = {s.name for s in network.inputs if not s.dtype.startswith("float")}
    pictures = {s.name for s in network.inputs if takes_picture(s) and s.dtype.startswith("float")}
    return Synthesized(
        network.inputs,
        ranges,
        frozenset(whole | set(network.vocabulary)),
        count,
        pictures=frozenset() if declared else frozenset(pictures),
        preprocessing=network.preprocessing,
    )


def _ranges(spec: TensorSpec, network: Network) -> tuple[Range, ...]:
    if spec.name in network.vocabulary:
        return ((0, network.vocabulary[spec.name] - 1),)
    if takes_picture(spec) and spec.dtype == "uint8":
        return ((0, 255),)
    if not spec.dtype.startswith("float"):
        return ((0, 1 if spec.dtype == "bool" else 9),)
    if takes_picture(spec):
        return (network.preprocessing.tensor_range,) if network.preprocessing else _PIXELS
    return ((-3, 3),)


def _draw(
    rng: np.random.Generator, spec: TensorSpec, low: float, high: float, whole: bool
) -> Array:
    shape = _sizes(spec)
    if whole:
        return rng.integers(int(low), int(high), shape, endpoint=True).astype(spec.dtype)
    if len(shape) == 3 and shape[2] in (1, 3):
        return (low + (high - low) * picture(rng, *shape)).astype(spec.dtype)
    return rng.uniform(low, high, shape).astype(spec.dtype)


def _sizes(spec: TensorSpec) -> tuple[int, ...]:
    return tuple(_OPEN_DIMENSION if d is None else d for d in spec.shape[1:])


def picture(rng: np.random.Generator, height: int, width: int, channels: int) -> Array:
    """Noise at several scales with varying brightness and contrast: (height, width, channels), 0..1.

    White noise alone averages out in the first pooling: every such picture looks the same to a network,
    and a comparison on it would prove little.
    """
    total = np.zeros((height, width, channels))
    for cells in (2, 5, 12, 32):
        grid = rng.normal(size=(cells, cells, channels))
        rows = np.linspace(0, cells - 1, height).round().astype(int)
        columns = np.linspace(0, cells - 1, width).round().astype(int)
        total += grid[rows][:, columns] * rng.uniform(0.2, 1)
    total = total / (np.abs(total).max() + 1e-9) * rng.uniform(0.2, 0.5) + rng.uniform(0.3, 0.7)
    noise: Array = np.clip(total, 0, 1)
    return noise
