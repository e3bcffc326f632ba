"""Made-up inputs: the same in every run, in the stated range, and never all alike."""

from __future__ import annotations

import numpy as np
import pytest

from mlc.convert.preprocessing import Preprocessing
from mlc.data.synthesized import synthesize
from tests import stand_ins


def drawn(network: stand_ins.Network, count: int = 16, **more: object) -> np.ndarray:
    (spec,) = network.inputs
    samples = synthesize(network, count, **more).samples()  # type: ignore[arg-type]
    return np.stack([s.feeds[spec.name] for s in samples])


def test_two_runs_give_the_same_and_few_are_the_first_of_many() -> None:
    network = stand_ins.network()
    np.testing.assert_array_equal(drawn(network, 4), drawn(network, 16)[:4])


@pytest.mark.parametrize(
    ("network", "low", "high"),
    [
        (
            stand_ins.network({"image": (1, 24, 24, 3)}, preprocessing=Preprocessing()),
            0,
            255,
        ),
        (
            stand_ins.network(
                {"image": (1, 24, 24, 1)},
                preprocessing=Preprocessing(color="gray", scale=1 / 127.5, mean=(1.0,)),
            ),
            -1,
            1,
        ),
        (stand_ins.network({"image": (1, 24, 24, 3)}, dtype="uint8"), 0, 255),
        (stand_ins.network({"x": (1, 100)}), -3, 3),
        (stand_ins.network({"x": (1, 100)}, dtype="int32"), 0, 9),
        (stand_ins.network({"x": (1, 100)}, dtype="bool"), 0, 1),
        (stand_ins.network({"t": (1, 100)}, dtype="int32", vocabulary={"t": 7}), 0, 6),
        (stand_ins.network({"t": (1, 100)}, dtype="float32", vocabulary={"t": 7}), 0, 6),
    ],
)
def test_values_fill_the_range_that_is_known(
    network: stand_ins.Network, low: float, high: float
) -> None:
    values = drawn(network).astype(np.float64)
    span = high - low
    assert values.min() >= low - 1e-6
    assert values.max() <= high + 1e-6
    assert values.max() - values.min() > 0.7 * span
    if network.inputs[0].dtype != "float32" or network.vocabulary:
        np.testing.assert_array_equal(values, values.round())


def test_pictures_are_of_whole_pixels_whatever_each_channel_is_scaled_by() -> None:
    """Core ML packages take the pixels themselves: what no picture yields they must refuse."""
    declared = Preprocessing(scale=1 / 255, mean=(0.1, 0.5, 0.9), std=(0.2, 0.3, 0.4))
    tensors = drawn(stand_ins.network({"image": (1, 24, 24, 3)}, preprocessing=declared))
    pixels = (tensors.astype(np.float64) * declared.std + declared.mean) * 255
    np.testing.assert_allclose(pixels, pixels.round(), atol=1e-3)
    assert pixels.min() >= -1e-3
    assert pixels.max() <= 255 + 1e-3


def test_a_declared_range_wins() -> None:
    values = drawn(stand_ins.network({"x": (1, 100)}), declared=(5.0, 6.0))
    assert values.min() >= 5
    assert values.max() <= 6


def test_pictures_differ_in_brightness_as_real_ones_do() -> None:
    """White noise alone averages out in the first pooling."""
    means = drawn(stand_ins.network({"image": (1, 64, 64, 3)})).mean(axis=(1, 2, 3))
    assert means.std() > 0.05 * 255


def test_undeclared_pixels_take_turns_over_the_usual_ranges() -> None:
    pictures = drawn(stand_ins.network({"image": (1, 24, 24, 3)}))
    assert pictures[0::3].max() > 100  # 0 … 255
    assert pictures[1::3].min() < -0.5  # -1 … 1
    assert np.abs(pictures[1::3]).max() <= 1
    assert 0 <= pictures[2::3].min() < pictures[2::3].max() <= 1


def test_open_dimensions_get_a_length() -> None:
    assert drawn(stand_ins.network({"steps": (1, None, 4)})).shape[1:] == (32, 4)


def test_the_title_says_that_they_are_made_up() -> None:
    dataset = synthesize(stand_ins.network(), 16)
    assert dataset.title == "16 made-up inputs in -1 … 1, 0 … 1, 0 … 255 (no data given)"
    assert not dataset.labelled


def test_the_fingerprint_tells_ranges_and_counts_apart() -> None:
    network = stand_ins.network()
    prints = {
        synthesize(network, 16).fingerprint,
        synthesize(network, 8).fingerprint,
        synthesize(network, 16, (0, 1)).fingerprint,
    }
    assert len(prints) == 3
    assert synthesize(network, 16).fingerprint in prints
