""".npz files: which array is which, pixels or tensors, and damage."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.preprocessing import Preprocessing
from mlc.data.npz import open_npz
from mlc.errors import DataError
from tests import stand_ins

RNG = np.random.default_rng(0)
FLOATS = RNG.normal(size=(5, 8, 8, 3)).astype(np.float32)
PIXELS = RNG.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def save(tmp_path: Path) -> Any:
    def save(**arrays: Any) -> Path:
        np.savez(tmp_path / "data.npz", **arrays)
        return tmp_path / "data.npz"

    return save


@pytest.mark.parametrize("name", ["x", "images", "image"])
def test_one_input_goes_by_three_names(name: str, save: Any) -> None:
    dataset = open_npz(save(**{name: FLOATS, "y": [0, 1, 2, 0, 1]}), stand_ins.network(), 99)
    samples = list(dataset.samples())
    assert dataset.labelled
    assert [s.label for s in samples] == [0, 1, 2, 0, 1]
    np.testing.assert_array_equal(np.stack([s.feeds["image"] for s in samples]), FLOATS)
    assert dataset.title == "5 samples in data.npz"


def test_without_y_there_are_no_labels(save: Any) -> None:
    dataset = open_npz(save(x=FLOATS), stand_ins.network(), 99)
    assert not dataset.labelled
    assert {s.label for s in dataset.samples()} == {None}


def test_several_inputs_go_by_name(save: Any) -> None:
    network = stand_ins.network({"left": (1, 2), "right": (1, 3)})
    left, right = RNG.normal(size=(4, 2)), RNG.normal(size=(4, 3))
    dataset = open_npz(save(right=right, left=left, labels=[0, 1, 2, 0]), network, 2)
    samples = list(dataset.samples())
    assert dataset.title == "2 of 4 samples in data.npz"
    assert [s.label for s in samples] == [0, 0], "first and last"
    np.testing.assert_array_equal(samples[1].feeds["left"], left[3])
    np.testing.assert_array_equal(samples[1].feeds["right"], right[3])


def test_an_input_called_y_is_no_label(save: Any) -> None:
    network = stand_ins.network({"x": (1, 2), "y": (1, 2)})
    dataset = open_npz(save(x=np.zeros((3, 2)), y=np.ones((3, 2))), network, 99)
    assert not dataset.labelled
    assert next(dataset.samples()).feeds["y"].tolist() == [1, 1]


def test_one_hot_labels_are_understood(save: Any) -> None:
    dataset = open_npz(save(x=FLOATS, y=np.eye(3)[[2, 1, 0, 1, 2]]), stand_ins.network(), 99)
    assert [s.label for s in dataset.samples()] == [2, 1, 0, 1, 2]


def test_uint8_pictures_are_pixels_to_be_preprocessed(save: Any) -> None:
    network = stand_ins.network(preprocessing=Preprocessing(scale=1 / 255, color="bgr"))
    first = next(open_npz(save(x=PIXELS), network, 99).samples())
    np.testing.assert_allclose(
        first.feeds["image"], PIXELS[0, ..., ::-1] / np.float32(255), rtol=1e-6
    )


def test_float_pictures_are_tensors_already(save: Any) -> None:
    network = stand_ins.network(preprocessing=Preprocessing(scale=1 / 255))
    first = next(open_npz(save(x=FLOATS), network, 99).samples())
    np.testing.assert_array_equal(first.feeds["image"], FLOATS[0])


def test_pixels_of_another_size_are_resized(save: Any) -> None:
    big = np.full((2, 20, 30, 3), 9, np.uint8)
    first = next(open_npz(save(x=big), stand_ins.network(), 99).samples())
    np.testing.assert_array_equal(first.feeds["image"], np.full((8, 8, 3), 9))


@pytest.mark.parametrize("shape", [(4, 8, 8), (4, 8, 8, 1)])
def test_gray_pixels_may_lack_the_channel(shape: tuple[int, ...], save: Any) -> None:
    network = stand_ins.network({"digit": (1, 8, 8, 1)})
    first = next(open_npz(save(x=np.full(shape, 7, np.uint8)), network, 99).samples())
    np.testing.assert_array_equal(first.feeds["digit"], np.full((8, 8, 1), 7))


def test_a_network_that_takes_uint8_gets_it_untouched(save: Any) -> None:
    network = stand_ins.network(dtype="uint8", preprocessing=Preprocessing(scale=2))
    first = next(open_npz(save(x=PIXELS), network, 99).samples())
    np.testing.assert_array_equal(first.feeds["image"], PIXELS[0])


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": FLOATS[:, :4]}, "is 4×8×3, but the network takes 8×8×3"),
        ({"x": FLOATS[..., 0]}, "is 8×8, but the network takes 8×8×3"),
        ({"x": PIXELS[..., [0, 1, 2, 0, 1]]}, "is 8×8×5, but the network takes 8×8×3"),
        ({"x": PIXELS[None]}, "is 5×8×8×3, but the network takes 8×8×3"),
        ({"x": np.zeros(5, np.uint8)}, "is a single number, but"),
        ({"x": np.full((5, 8, 8, 3), "a")}, "is <U1, but the network takes float32"),
        ({"z": FLOATS}, "holds z; the network takes image"),
        ({}, "holds nothing; the network takes image"),
        ({"x": FLOATS, "y": [0, 1]}, "differ in length"),
        ({"x": FLOATS[:0]}, "are empty"),
        ({"x": np.float32(1)}, "are empty"),
        ({"x": FLOATS, "y": [0, 1, 2, 3, 0]}, "label 3 is none of the network's 3 classes"),
        ({"x": FLOATS, "y": list("abcde")}, "the labels are no class indices"),
        ({"x": np.array([{"a": 1}, None], dtype=object)}, "cannot be read as .npz"),
    ],
)
def test_what_does_not_fit_is_refused(arrays: Any, says: str, save: Any) -> None:
    with pytest.raises(DataError, match=r"data\.npz") as caught:
        open_npz(save(**arrays), stand_ins.network(), 99)
    assert says in caught.value.message
    assert "\n" not in str(caught.value)


class Bomb:
    """Unpickling this would write a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (self.marker.write_text, ("ran",))


def test_pickled_content_is_not_unpickled(save: Any, tmp_path: Path) -> None:
    path = save(x=np.array([Bomb(tmp_path / "marker")], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        open_npz(path, stand_ins.network(), 99)
    assert not (tmp_path / "marker").exists()


def test_one_array_is_no_npz(tmp_path: Path) -> None:
    with (tmp_path / "data.npz").open("wb") as file:
        np.save(file, FLOATS)
    with pytest.raises(DataError, match="is one array, not an"):
        open_npz(tmp_path / "data.npz", stand_ins.network(), 99)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing\.npz does not exist"):
        open_npz(tmp_path / "missing.npz", stand_ins.network(), 99)


@pytest.mark.parametrize("packed", [False, True], ids=["stored", "deflated"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_refused(share: float, packed: bool, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    (np.savez_compressed if packed else np.savez)(path, x=FLOATS)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"data\.npz cannot be read"):
        open_npz(path, stand_ins.network(), 99)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_flipped_bytes_are_refused_or_harmless(method: int, tmp_path: Path) -> None:
    """No damage may show as a traceback: zipfile, zlib and numpy each raise errors of their own."""
    (np.savez_compressed if method else np.savez)(tmp_path / "whole.npz", x=FLOATS)
    whole = (tmp_path / "whole.npz").read_bytes()
    path, refused = tmp_path / "data.npz", 0
    for position in range(0, len(whole), max(1, len(whole) // 150)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 255]) + whole[position + 1 :])
        try:
            open_npz(path, stand_ins.network(), 99)
        except DataError:
            refused += 1
    assert refused > 100


def test_the_fingerprint_is_that_of_what_is_used(save: Any) -> None:
    network = stand_ins.network()
    before = open_npz(save(x=FLOATS), network, 99).fingerprint
    assert open_npz(save(x=FLOATS, unused=PIXELS), network, 99).fingerprint == before
    assert open_npz(save(x=FLOATS + 1e-3), network, 99).fingerprint != before
    assert open_npz(save(x=FLOATS, y=[0] * 5), network, 99).fingerprint != before
    assert open_npz(save(x=FLOATS), network, 2).fingerprint != before
