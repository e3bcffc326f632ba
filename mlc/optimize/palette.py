"""Weights as indices into a table of few values: which values those are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc.optimize.exact import exact
from mlc.optimize.recipe import Palette

__all__ = ["PRUNED", "few_values", "nearest", "palette"]

Array = np.ndarray[Any, np.dtype[Any]]

_ROUNDS = 200  # of Lloyd's algorithm: in one dimension it has long stopped by then
_BINS = (32, 128, 512)  # of the histograms that starting points are taken from
_SHARES = np.linspace(0.2, 1, 33)  # of the range, that evenly spaced values are tried over
PRUNED = 0.5  # a share of zeros that is no accident: they stay


def palette(values: Array, bits: int, form: Palette) -> tuple[Array, Array]:
    """The table for float32 `values`, ascending, (2^bits,) float32, and each value's index, uint8.

    Where at least half of the values are 0, as pruning leaves them, 0 is in the table and they stay 0.
    Entries that nothing needs repeat the last one.
    """
    size = 2**bits
    table = few_values(values, size, form, with_zero=bool(np.mean(values == 0) >= PRUNED))
    table = np.pad(table, (0, size - table.size), mode="edge")
    return table, nearest(table, values)


def few_values(values: Array, size: int, form: Palette, with_zero: bool = False) -> Array:
    """At most `size` values that stand for all of `values`, ascending, float32.

    `uniform` values are evenly spaced over the part of the range that gives the least squared error.
    `kmeans` ones are Lloyd's algorithm (1982) from there, and from the point density that is best for
    many values, p(x)^(1/3) (Panter and Dite 1951); the best of all. In one dimension its clusters are
    intervals, so on sorted values a round costs no more than the table is long. `with_zero`, 0 is one of
    them.
    """
    flat = values.reshape(-1).astype(np.float32)
    distinct: Array = np.unique(flat)
    if distinct.size <= size:
        return distinct
    sample = _Sorted.of(flat[flat != 0] if with_zero else flat)
    uniform = _uniform(sample, size, with_zero)
    found = _kmeans(sample, uniform, with_zero) if form == "kmeans" else []
    # What is best before it is made exact need not be best afterwards.
    return min((exact(table) for table in (*found, uniform)), key=sample.error)


def nearest(table: Array, values: Array) -> Array:
    """For each of `values` the index, uint8, of what is nearest to it in an ascending table."""
    between = (table[1:].astype(np.float64) + table[:-1]) / 2
    return np.searchsorted(between, values).astype(np.uint8)


@dataclass(frozen=True)
class _Sorted:
    """Values in ascending order, with running sums of them and of their squares."""

    values: Array
    sums: Array
    squares: Array

    @classmethod
    def of(cls, values: Array) -> _Sorted:
        ascending = np.sort(values).astype(np.float64)
        sums = np.concatenate([[0], np.cumsum(ascending)])
        return cls(ascending, sums, np.concatenate([[0], np.cumsum(ascending**2)]))

    def ends(self, table: Array) -> Array:
        """Where the interval of each entry begins, and the last one ends."""
        inner = np.searchsorted(self.values, (table[1:] + table[:-1]) / 2)
        return np.concatenate([[0], inner, [self.values.size]])

    def error(self, table: Array) -> float:
        """Sum of squared distances to the nearest entry."""
        ends = self.ends(table)
        count, total = np.diff(ends), np.diff(self.sums[ends])
        square = np.diff(self.squares[ends])
        return float((square - 2 * table * total + count * table**2).sum())

    def means(self, table: Array) -> Array:
        """The mean of what is nearest to each entry; the entry itself where nothing is."""
        ends = self.ends(table)
        count, total = np.diff(ends), np.diff(self.sums[ends])
        return np.where(count > 0, total / np.maximum(count, 1), table)


def _uniform(sample: _Sorted, size: int, with_zero: bool) -> Array:
    low, high = sample.values[0], sample.values[-1]
    centre, half = (low + high) / 2, (high - low) / 2
    tried = []
    for share in _SHARES:
        step = 2 * half * share / size
        table = centre + step * (np.arange(size) - (size - 1) / 2)
        if with_zero:
            table -= table[np.abs(table).argmin()]
        tried.append((sample.error(table), tuple(table)))
    return np.array(min(tried)[1])


def _kmeans(sample: _Sorted, uniform: Array, with_zero: bool) -> list[Array]:
    starts = [uniform, *(_dense(sample, uniform.size, bins, with_zero) for bins in _BINS)]
    return [_lloyd(sample, start, with_zero) for start in starts]


def _dense(sample: _Sorted, size: int, bins: int, with_zero: bool) -> Array:
    """Entries as dense as the cube root of the values' density."""
    counts, edges = np.histogram(sample.values, bins)
    density = np.concatenate([[0], np.cumsum(np.cbrt(counts))])
    table = np.interp((np.arange(size) + 0.5) / size * density[-1], density, edges)
    if with_zero:
        table[np.abs(table).argmin()] = 0
    return table


def _lloyd(sample: _Sorted, table: Array, with_zero: bool) -> Array:
    for _ in range(_ROUNDS):
        moved = sample.means(table)
        if with_zero:
            moved[table == 0] = 0
        if np.array_equal(moved, table):
            break
        table = moved
    return table
