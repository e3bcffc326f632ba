"""How far compressed weights are from the weights that they stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np

__all__ = ["remarks", "sqnr"]

Array = np.ndarray[Any, np.dtype[Any]]

# So many decibels below the median of its kind a weight stands out: two bits.
_STANDS_OUT = 12.0
# A bit is worth 6 dB for weights that fill their range evenly; less than this and something is wrong.
_PER_BIT = 2.5


def sqnr(before: Array, after: Array) -> float:
    """Signal to quantization noise in dB; infinite where nothing changed."""
    reference = before.astype(np.float64)
    noise = float(np.sum((after.astype(np.float64) - reference) ** 2))
    signal = float(np.sum(reference**2))
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def remarks(errors: Mapping[str, float], bits: int = 0) -> list[str]:
    """A sentence for the user where a weight came out worse than others, or than `bits` bits explain."""
    changed = {name: value for name, value in errors.items() if value != math.inf}
    known = [value for value in changed.values() if not math.isnan(value)]
    usual = median(known) if known else 0.0
    least = max(usual - _STANDS_OUT, _PER_BIT * bits)
    bad = {name: value for name, value in changed.items() if not value >= least}
    if not bad:
        return []
    worst = min(bad, key=lambda name: (not math.isnan(bad[name]), bad[name]))
    return [
        f"{len(bad)} of {len(errors)} compressed weights are below {least:.0f} dB SQNR (the median is "
        f"{usual:.0f}), the worst is {worst} with {bad[worst]:.1f} dB."
    ]
