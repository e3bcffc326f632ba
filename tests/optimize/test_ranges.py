"""Estimators of ranges, and the histograms that calibration makes for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.convert.network import Network
from mlc.data.dataset import Calibration
from mlc.data.synthesized import synthesize
from mlc.errors import DataError
from mlc.optimize.calibrate import calibrate, channel_means
from mlc.optimize.ranges import ESTIMATORS, Estimator, Histogram, estimate


def histogram(values: Any) -> Histogram:
    low, high = float(values.min()), float(values.max())
    return Histogram(low, high, np.histogram(values, 2048, (low, high))[0])


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=50))
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_range_holds_zero_and_nothing_that_was_not_seen(
    estimator: Estimator, values: list[float]
) -> None:
    array = np.float32(values)
    low, high = estimate(histogram(array), estimator, 8)
    assert min(0, array.min()) - 1e-3 <= low <= 0 <= high <= max(0, array.max()) + 1e-3


@pytest.mark.parametrize(("estimator", "bits"), [("percentile", 8), ("entropy", 8), ("mse", 4)])
def test_one_wild_value_does_not_widen_the_range(estimator: Estimator, bits: int) -> None:
    values = np.append(np.random.default_rng(0).normal(size=100_000), 20.0)
    assert estimate(histogram(values), estimator, bits)[1] < 15
    assert estimate(histogram(values), "min-max", bits)[1] == 20


def test_nothing_is_clipped_where_that_would_cost_more() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, 100_000)
    low, high = estimate(histogram(values), "mse", 8)
    assert low < -0.95
    assert high > 0.95


def test_ends_and_means_are_those_of_all_samples(frozen: Callable[..., Network]) -> None:
    network = frozen("two_in_two_out")
    samples = Calibration(synthesize(network, 5), network, 5)
    found, count = calibrate(network, ["left", "right"], samples, "percentile")
    fed = np.stack([batch["left"] for batch in samples()])
    assert count == 5
    assert (found["left"].low, found["left"].high) == (fed.min(), fed.max())
    assert found["left"].counts.sum() == fed.size
    means = channel_means(network, ["left"], samples)["left"]
    assert np.allclose(means, fed.reshape(-1, 6).mean(axis=0), atol=1e-6)
    with pytest.raises(DataError, match="no samples to calibrate on"):
        calibrate(network, ["left"], list, "min-max")
