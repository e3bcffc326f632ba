"""Image folders: order, labels, and what a stranger's folder may hold."""

from __future__ import annotations

import os
import pickle
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.preprocessing import Preprocessing
from mlc.data.folder import open_folder
from mlc.errors import DataError
from tests import stand_ins
from tests.stand_ins import picture, plain


def fill(folder: Path, classes: dict[str, int]) -> Path:
    """So many pictures per class; the gray of a picture tells class and number."""
    for k, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for n in range(count):
            plain(8, 8, 50 * k + n).save(folder / name / f"{n:03}.png")
    return folder


def test_without_sub_folders_pictures_have_no_labels(tmp_path: Path) -> None:
    fill(tmp_path, {".": 3})
    (tmp_path / "readme.txt").write_text("no picture")
    dataset = open_folder(tmp_path, stand_ins.network(), 100)
    samples = list(dataset.samples())
    assert not dataset.labelled
    assert [s.label for s in samples] == [None] * 3
    assert [int(s.feeds["image"][0, 0, 0]) for s in samples] == [0, 1, 2]
    assert dataset.title == f"3 pictures in {tmp_path.name}/"


def test_sub_folders_are_labels_in_alphabetical_order(tmp_path: Path) -> None:
    fill(tmp_path, {"b": 2, "a": 1, "c": 1})
    dataset = open_folder(tmp_path, stand_ins.network(), 100)
    assert dataset.labelled
    assert [s.label for s in dataset.samples()] == [0, 1, 1, 2]
    assert dataset.title == f"4 pictures of 3 classes in {tmp_path.name}/"


@pytest.mark.parametrize("names", [("zebra", "cat", "dog"), ("Zebra", "CAT", "dog")])
def test_labels_of_the_network_decide_the_order(names: tuple[str, ...], tmp_path: Path) -> None:
    """Alphabetically the zebra would be last: accuracy would silently be that of a wrong order."""
    fill(tmp_path, {"cat": 1, "dog": 1, "zebra": 1})
    network = stand_ins.network(labels=names)
    assert [s.label for s in open_folder(tmp_path, network, 9).samples()] == [1, 2, 0]


def test_a_folder_may_hold_some_of_the_classes(tmp_path: Path) -> None:
    fill(tmp_path, {"dog": 2})
    network = stand_ins.network(labels=("zebra", "cat", "dog"))
    assert [s.label for s in open_folder(tmp_path, network, 9).samples()] == [2, 2]


def test_underscores_stand_for_spaces(tmp_path: Path) -> None:
    fill(tmp_path, {"hot_dog": 1, "not-hot-dog": 1})
    network = stand_ins.network(outputs={"s": (1, 2)}, labels=("not hot dog", "hot dog"))
    assert [s.label for s in open_folder(tmp_path, network, 9).samples()] == [1, 0]


def test_a_folder_named_after_no_label_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 1, "dog": 1, "lion": 1})
    network = stand_ins.network(labels=("zebra", "cat", "dog"))
    with pytest.raises(DataError, match="lion is named after no label") as caught:
        open_folder(tmp_path, network, 9)
    assert "zebra, cat, dog" in caught.value.hint


def test_a_folder_named_after_two_labels_is_refused(tmp_path: Path) -> None:
    """ImageNet has two cranes."""
    fill(tmp_path, {"crane": 1})
    network = stand_ins.network(labels=("crane", "dog", "crane"))
    with pytest.raises(DataError, match="crane is named after several labels"):
        open_folder(tmp_path, network, 9)


def test_a_wrong_number_of_classes_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 1, "dog": 1})
    with pytest.raises(DataError, match="has 2 class folders, but the network has 3 classes"):
        open_folder(tmp_path, stand_ins.network(), 9)


def test_one_sigmoid_has_two_classes(tmp_path: Path) -> None:
    fill(tmp_path, {"no": 1, "yes": 1})
    network = stand_ins.network(outputs={"yes": (1, 1)}, ending="Sigmoid")
    assert [s.label for s in open_folder(tmp_path, network, 9).samples()] == [0, 1]


def test_classes_mean_nothing_to_a_network_without_them(tmp_path: Path) -> None:
    fill(tmp_path, {"day": 1, "night": 1})
    dataset = open_folder(tmp_path, stand_ins.network(outputs={"mask": (1, 8, 8, 1)}), 9)
    assert not dataset.labelled
    assert len(list(dataset.samples())) == 2
    assert dataset.title == f"2 pictures in {tmp_path.name}/"


def test_more_pictures_than_wanted_are_spread_over_all_classes(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 10, "b": 10, "c": 10})
    dataset = open_folder(tmp_path, stand_ins.network(), 6)
    assert [s.label for s in dataset.samples()] == [0, 0, 1, 1, 2, 2]
    assert dataset.title.startswith("6 of 30 pictures of 3 classes")


def test_litter_is_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 1, "b": 1, "c": 1, ".ipynb_checkpoints": 1})
    (tmp_path / "a" / "._000.png").write_bytes(b"resource fork of macOS")
    (tmp_path / "empty").mkdir()
    assert len(list(open_folder(tmp_path, stand_ins.network(), 9).samples())) == 3


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no pictures"):
        open_folder(tmp_path, stand_ins.network(), 9)


def cut(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def flip(whole: bytes) -> bytes:
    middle = len(whole) // 2
    return whole[:middle] + bytes(b ^ 255 for b in whole[middle:])


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp"])
@pytest.mark.parametrize("damage", [lambda _: b"", cut, flip, lambda _: b"hello"])
def test_a_damaged_picture_is_named(damage: Any, suffix: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    file = tmp_path / f"broken.{suffix}"
    picture(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(file)
    file.write_bytes(damage(file.read_bytes()))
    dataset = open_folder(tmp_path, stand_ins.network(), 9)
    if damage is flip and suffix != "png":
        with suppress(DataError):  # a decoder may still make a picture of it
            list(dataset.samples())
        return
    with pytest.raises(DataError, match=re.escape(str(file))) as caught:
        list(dataset.samples())
    assert "\n" not in caught.value.message


def test_pictures_are_preprocessed_as_declared(tmp_path: Path) -> None:
    array = np.zeros((8, 8, 3), np.uint8)
    array[..., 0] = 255
    picture(array).save(tmp_path / "red.png")
    how = Preprocessing(color="bgr", scale=1 / 255, mean=(0.5,), std=(0.5,))
    (sample,) = open_folder(tmp_path, stand_ins.network(preprocessing=how), 9).samples()
    np.testing.assert_allclose(sample.feeds["image"][0, 0], [-1, -1, 1], atol=1e-6)


def test_gray_networks_get_gray_pictures(tmp_path: Path) -> None:
    plain(20, 20, 77).save(tmp_path / "a.jpg")
    (sample,) = open_folder(tmp_path, stand_ins.network({"digit": (1, 8, 8, 1)}), 9).samples()
    assert sample.feeds["digit"].shape == (8, 8, 1)
    assert set(sample.feeds["digit"].ravel()) == {77.0}


@pytest.mark.parametrize(
    "inputs",
    [{"x": (1, 10)}, {"left": (1, 8, 8, 3), "right": (1, 8, 8, 3)}, {"x": (1, 8, 8, 12)}],
)
def test_pictures_fit_no_other_networks(inputs: dict[str, stand_ins.Shape], tmp_path: Path) -> None:
    fill(tmp_path, {".": 1})
    with pytest.raises(DataError, match="Pictures do not fit this network"):
        open_folder(tmp_path, stand_ins.network(inputs), 9)


def test_a_network_of_any_size_needs_one(tmp_path: Path) -> None:
    fill(tmp_path, {".": 1})
    with pytest.raises(DataError, match="no fixed picture size") as caught:
        open_folder(tmp_path, stand_ins.network({"image": (1, None, None, 3)}), 9)
    assert "--input-shape image=1xHEIGHTxWIDTHx3" in caught.value.hint


def test_the_fingerprint_changes_with_the_pictures_and_how_they_are_read(tmp_path: Path) -> None:
    fill(tmp_path, {".": 2})

    def fingerprint(**more: Any) -> str:
        return open_folder(tmp_path, stand_ins.network(**more), 9).fingerprint

    before = fingerprint()
    assert fingerprint() == before
    assert fingerprint(preprocessing=Preprocessing(scale=2)) != before
    os.utime(tmp_path / "000.png", (1, 1))
    touched = fingerprint()
    assert touched != before
    plain(8, 8).save(tmp_path / "new.png")
    assert fingerprint() not in (before, touched)


def test_a_dataset_goes_to_a_worker(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 1, "b": 1, "c": 1})
    dataset = open_folder(tmp_path, stand_ins.network(), 9)
    again = pickle.loads(pickle.dumps(dataset))
    assert [s.label for s in again.samples()] == [0, 1, 2]
