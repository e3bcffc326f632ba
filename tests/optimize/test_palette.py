"""Which values a palette holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc.optimize.palette import palette
from mlc.optimize.recipe import Palette

Array = np.ndarray[Any, np.dtype[Any]]
FORMS: tuple[Palette, ...] = ("uniform", "kmeans")
BITS = st.sampled_from((1, 2, 3, 4, 6, 8))


@st.composite
def weights(draw: st.DrawFn) -> Array:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.integers(1, 600))
    scale = 10.0 ** draw(st.integers(-6, 6))
    drawn = draw(st.sampled_from((rng.normal(size=size), rng.laplace(size=size))))
    return np.asarray(scale * drawn + draw(st.floats(-3, 3)), np.float32)


def error(values: Array, table: Array, indices: Array) -> float:
    return float(((table[indices].astype(np.float64) - values) ** 2).sum())


@settings(deadline=None, max_examples=60)
@given(weights(), BITS)
def test_every_value_gets_its_nearest_entry_of_an_ascending_table(values: Array, bits: int) -> None:
    for form in FORMS:
        table, indices = palette(values, bits, form)
        assert table.shape == (2**bits,)
        assert (np.diff(table) >= 0).all()
        nearest = np.abs(values[:, None].astype(np.float64) - table).min(axis=1)
        np.testing.assert_allclose(np.abs(table[indices] - values), nearest, rtol=1e-5, atol=1e-30)


@settings(deadline=None, max_examples=60)
@given(weights(), BITS)
def test_clusters_are_never_worse_than_even_spacing(values: Array, bits: int) -> None:
    uniform, kmeans = (error(values, *palette(values, bits, form)) for form in FORMS)
    assert kmeans <= uniform * 1.0001 + 1e-12 * float((values.astype(np.float64) ** 2).sum())


@settings(deadline=None, max_examples=40)
@given(weights(), BITS)
def test_pruned_weights_stay_pruned(values: Array, bits: int) -> None:
    pruned = np.concatenate([values, np.zeros(values.size, np.float32)])
    for form in FORMS:
        table, indices = palette(pruned, bits, form)
        assert (table[indices][pruned == 0] == 0).all()


def test_few_values_are_kept_as_they_are() -> None:
    values = np.array([[0.5, -1, 3], [3, 0.5, -1]], np.float32)
    table, indices = palette(values, 2, "kmeans")
    assert table.tolist() == [-1, 0.5, 3, 3]
    assert table[indices].tolist() == values.tolist()


@pytest.mark.parametrize(
    ("bits", "best"),
    [(4, 20.22), (6, 31.89), (8, 43.84)],
    ids=lambda v: str(v),
)
def test_it_is_as_good_as_a_table_of_a_normal_distribution_can_be(bits: int, best: float) -> None:
    """4 bits by Max (1960); 6 and 8 by Panter and Dite: 6.02 · bits − 4.35 dB for many levels."""
    values = np.random.default_rng(0).normal(size=200_000).astype(np.float32)
    table, indices = palette(values, bits, "kmeans")
    signal = float((values.astype(np.float64) ** 2).sum())
    assert 10 * np.log10(signal / error(values, table, indices)) > best - 0.15


def test_rare_large_weights_do_not_spoil_the_start() -> None:
    values = np.random.default_rng(0).standard_t(3, 100_000).astype(np.float32)
    table, indices = palette(values, 8, "kmeans")
    signal = float((values.astype(np.float64) ** 2).sum())
    assert 10 * np.log10(signal / error(values, table, indices)) > 39
