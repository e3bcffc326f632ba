"""Sparsity: exactly as many zeros as asked, grown as tensorflow-model-optimization grows them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlc.errors import UsageError
from mlc.optimize.training.masked import Masked, Sparsity, read_sparsity

floats = st.floats(-8, 8, width=32)
shapes = arrays.array_shapes(min_dims=1, max_dims=4, max_side=6)


@given(arrays.arrays(np.float32, shapes, elements=floats), st.floats(0.01, 0.99), st.floats(0, 1))
def test_a_share_of_the_least_weights_goes(values, share, progress) -> None:  # type: ignore[no-untyped-def]
    sparsity = Sparsity(share)
    mask = sparsity.mask(values, 0, progress)
    grown = share * (1 - (1 - progress) ** 3)
    assert (mask == 0).sum() == round(grown * values.size)
    gone, kept = np.abs(values[mask == 0]), np.abs(values[mask == 1])
    assert gone.max(initial=0) <= kept.min(initial=np.inf)


@given(st.integers(1, 3), st.integers(1, 4), st.data())
def test_groups_keep_their_largest(kept: int, groups: int, data: st.DataObject) -> None:
    values = data.draw(arrays.arrays(np.float32, (3, 4 * groups, 2), elements=floats))
    sparsity = read_sparsity(f"{kept}:4")
    mask = sparsity.mask(values, 1)
    grouped = np.moveaxis(mask, 1, -1).reshape(-1, 4)
    assert (grouped.sum(axis=1) == kept).all()
    magnitudes = np.abs(np.moveaxis(values, 1, -1).reshape(-1, 4))
    best = np.sort(magnitudes, axis=1)[:, -kept:].sum(axis=1)
    np.testing.assert_allclose((magnitudes * grouped).sum(axis=1), best, rtol=1e-6)


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_schedule_only_grows(a: float, b: float) -> None:
    values = np.arange(1000, dtype=np.float32)
    low, high = (Sparsity(0.8).mask(values, 0, p) for p in sorted((a, b)))
    assert (low >= high).all()


def test_the_share_at_each_step_is_that_of_zhu_and_gupta() -> None:
    """Equation 1 of the paper, worked out by hand at three steps of a ramp to 0.8."""
    values = np.arange(1, 10_001, dtype=np.float32)
    zeros = [(Sparsity(0.8).mask(values, 0, p) == 0).sum() for p in (0.25, 0.5, 0.9)]
    assert zeros == [4625, 7000, 7992]


@pytest.mark.parametrize("text", ["", "1", "0", "-0.5", "1.5", "4:2", "2:2", "0:4", "half", "a:b"])
def test_what_is_no_sparsity_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not understood"):
        read_sparsity(text)


def test_what_is_masked_gets_no_gradient() -> None:
    import tensorflow as tf

    values = np.arange(1, 9, dtype=np.float32).reshape(2, 4)
    masked = Masked(values, Sparsity(0.5).mask(values, 1))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(masked.tensor() ** 2)
    (slope,) = (np.asarray(g) for g in tape.gradient(loss, masked.trained))
    assert (slope[0] == 0).all()
    assert (slope[1] != 0).all()
    np.testing.assert_array_equal(masked.frozen(), [[0, 0, 0, 0], [5, 6, 7, 8]])
