"""From the histogram of a tensor's values to the range that its integers span.

Four rules (Krishnamoorthi 2018; Migacz 2017 for entropy; Banner et al. 2019 for MSE). `min-max` clips
nothing. The others trade the clipping of rare large values against finer steps for all: they try
`_CANDIDATES` ranges, each a part of the observed one, and keep the best by their own measure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

__all__ = ["ESTIMATORS", "Estimator", "Histogram", "estimate"]

Array = np.ndarray[Any, np.dtype[Any]]
Estimator = Literal["min-max", "percentile", "entropy", "mse"]
ESTIMATORS: tuple[Estimator, ...] = ("min-max", "percentile", "entropy", "mse")

_TAIL = 1e-4  # percentile: this share of the values may lie outside, half of it at each end
_CANDIDATES = 64
_SMALLEST = 0.25  # of the observed range


@dataclass(frozen=True)
class Histogram:
    """Counts of a tensor's values in equal bins over low … high, all samples together."""

    low: float
    high: float
    counts: Array  # (bins,); empty where only the ends are known


def estimate(histogram: Histogram, estimator: Estimator, bits: int) -> tuple[float, float]:
    """(low, high), which always contain 0: padding and ReLU must be exact."""
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    if estimator == "min-max" or not histogram.counts.sum() or low == high:
        return low, high
    if estimator == "percentile":
        return _percentile(histogram)
    cost = _squared_error if estimator == "mse" else _divergence
    return _best(histogram, low, high, cost, 2**bits)


def _centres(histogram: Histogram) -> Array:
    bins = len(histogram.counts)
    width = (histogram.high - histogram.low) / bins
    return histogram.low + (np.arange(bins) + 0.5) * width


def _percentile(histogram: Histogram) -> tuple[float, float]:
    centres = _centres(histogram)
    share = np.cumsum(histogram.counts) / histogram.counts.sum()
    low = centres[int(np.searchsorted(share, _TAIL / 2))]
    high = centres[min(int(np.searchsorted(share, 1 - _TAIL / 2)), len(centres) - 1)]
    return min(float(low), 0.0), max(float(high), 0.0)


def _best(
    histogram: Histogram,
    low: float,
    high: float,
    cost: Callable[[Array, Array, float, float, int], float],
    levels: int,
) -> tuple[float, float]:
    """The cheapest candidate; both ends shrink together, the larger first where they differ."""
    centres, counts = _centres(histogram), histogram.counts.astype(np.float64)
    # Every candidate holds 0 exactly. After a ReLU it is most of what there is, and would decide alone.
    counts[np.abs(centres).argmin()] = 0
    reach = max(-low, high)
    tried = []
    for share in np.linspace(_SMALLEST, 1, _CANDIDATES):
        ends = max(low, -reach * share), min(high, reach * share)
        tried.append((cost(centres, counts, *ends, levels), -share, ends))
    return min(tried)[2]


def _quantized(values: Array, low: float, high: float, levels: int) -> Array:
    step = (high - low) / (levels - 1)
    rounded: Array = np.rint((np.clip(values, low, high) - low) / step) * step + low
    return rounded


def _squared_error(centres: Array, counts: Array, low: float, high: float, levels: int) -> float:
    return float((counts * (centres - _quantized(centres, low, high, levels)) ** 2).sum())


def _divergence(centres: Array, counts: Array, low: float, high: float, levels: int) -> float:
    """Kullback-Leibler divergence of the quantized from the clipped distribution (Migacz 2017)."""
    inside = (centres >= low) & (centres <= high)
    if not inside.any():
        return float("inf")
    clipped = counts[inside].copy()
    clipped[0] += counts[centres < low].sum()
    clipped[-1] += counts[centres > high].sum()
    share = (centres[inside] - low) / max(high - low, 1e-30)
    level = np.clip((share * levels).astype(int), 0, levels - 1)
    occupied = counts[inside] > 0
    mass = np.bincount(level, counts[inside], levels)
    bins = np.bincount(level, occupied, levels)
    spread = np.where(occupied, (mass / np.maximum(bins, 1))[level], 0)
    p, q = clipped / clipped.sum(), spread / max(spread.sum(), 1e-30)
    known = (p > 0) & (q > 0)
    missed = p[(p > 0) & (q == 0)].sum()  # mass that the quantized one does not have at all
    return float((p[known] * np.log(p[known] / q[known])).sum() + missed)
