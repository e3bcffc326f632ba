"""What all kinds of data share: choosing, spreading, batching, checking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.data.dataset import (
    Calibration,
    Sample,
    batches,
    check_sample,
    class_count,
    class_indices,
    open_data,
    spread,
)
from mlc.data.folder import ImageFolder
from mlc.data.npz import Npz
from mlc.data.python import PythonData
from mlc.errors import DataError
from tests import stand_ins


@given(st.integers(0, 20_000), st.integers(1, 3_000))
def test_spread_is_even_and_always_the_same(count: int, limit: int) -> None:
    indices = spread(count, limit)
    assert indices == spread(count, limit)
    assert indices == sorted(set(indices)), "in order, each once"
    assert len(indices) == min(count, limit)
    assert all(0 <= i < count for i in indices)
    if len(indices) > 1:
        gaps = np.diff(indices)
        assert gaps.max() - gaps.min() <= 1, "as even as whole numbers allow"
        assert indices[0] == 0
        assert indices[-1] == count - 1


@dataclass(frozen=True)
class Numbers:
    """Sample k is k, and so is its label."""

    count: int
    read: list[int] = field(default_factory=list)
    title: str = "numbers"
    labelled: bool = True
    fingerprint: str = "numbers"

    def samples(self) -> Iterator[Sample]:
        for k in range(self.count):
            self.read.append(k)
            yield Sample({"x": np.array([k, k], np.float64)}, k)


@given(st.integers(1, 12), st.one_of(st.none(), st.integers(1, 5)), st.integers(1, 14))
def test_batches_hold_every_sample_once(count: int, size: int | None, limit: int) -> None:
    network = stand_ins.network({"x": (size, 2)})
    found = list(batches(Numbers(count), network, limit))
    assert all(f["x"].shape == (size or 1, 2) and f["x"].dtype == np.float32 for f, _ in found)
    assert [label for _, labels in found for label in labels] == list(range(min(count, limit)))
    values = [f["x"][k, 0] for f, labels in found for k in range(len(labels))]
    assert values == list(range(min(count, limit)))
    last, labels = found[-1]
    assert set(last["x"][len(labels) :, 0]) <= {labels[-1]}, "filled up with the last sample"


def test_calibration_reads_no_more_than_it_may() -> None:
    numbers = Numbers(100)
    calibration = Calibration(numbers, stand_ins.network({"x": (1, 2)}), 3)
    assert [float(feeds["x"][0, 0]) for feeds in calibration()] == [0, 1, 2]
    assert len(list(calibration())) == 3, "starts again from the first"
    assert max(numbers.read) == 2


def test_each_kind_is_known_by_its_argument(tmp_path: Path) -> None:
    network = stand_ins.network({"image": (1, 4, 4, 3)})
    (tmp_path / "pictures").mkdir()
    stand_ins.plain(4, 4).save(tmp_path / "pictures" / "a.png")
    np.savez(tmp_path / "data.npz", x=np.zeros((2, 4, 4, 3)))
    (tmp_path / "data.py").write_text(
        "import numpy as np\ndef rows():\n    yield np.zeros((2, 4, 4, 3))\n"
    )
    kinds = {"pictures": ImageFolder, "data.npz": Npz, "data.py:rows": PythonData}
    for argument, kind in kinds.items():
        assert isinstance(open_data(str(tmp_path / argument), network, 5), kind)


@pytest.mark.parametrize("argument", ["nowhere", "nowhere/pictures"])
def test_what_does_not_exist_is_named(argument: str) -> None:
    with pytest.raises(DataError, match=f"'{argument}' do not exist"):
        open_data(argument, stand_ins.network(), 5)


@pytest.mark.parametrize(
    ("outputs", "classes"),
    [
        ({"scores": (1, 7)}, 7),
        ({"yes": (1, 1)}, 2),
        ({"scores": (None, None)}, None),
        ({"mask": (1, 8, 8, 1)}, None),
        ({"a": (1, 3), "b": (1, 3)}, None),
    ],
)
def test_only_one_row_of_scores_has_classes(
    outputs: dict[str, stand_ins.Shape], classes: int | None
) -> None:
    assert class_count(stand_ins.network(outputs=outputs)) == classes


@pytest.mark.parametrize(
    "y",
    [[2, 0, 1], [[2], [0], [1]], [2.0, 0.0, 1.0], np.eye(3)[[2, 0, 1]], np.uint8([2, 0, 1])],
    ids=["list", "column", "whole floats", "one-hot", "uint8"],
)
def test_labels_in_any_usual_form(y: Any) -> None:
    indices = class_indices(y, 3, "here")
    assert indices is not None
    assert indices.tolist() == [2, 0, 1]
    assert indices.dtype == np.int64


@pytest.mark.parametrize(
    ("y", "says"),
    [
        ([0, 3], "label 3 is none of the network's 3 classes"),
        ([-1, 0], "label -1 is none"),
        ([0.5, 1.0], "no class indices"),
        (["cat", "dog"], "no class indices"),
        (np.zeros((2, 4, 4)), "no class indices"),
        ([np.nan, 1.0], "no class indices"),
    ],
)
def test_what_names_no_class_is_refused(y: Any, says: str) -> None:
    with pytest.raises(DataError, match="here: ") as caught:
        class_indices(y, 3, "here")
    assert says in caught.value.message


def test_labels_are_nothing_to_a_network_without_classes() -> None:
    assert class_indices(np.zeros((2, 4, 4)), None, "here") is None


@pytest.mark.parametrize(
    ("shape", "array", "says"),
    [
        ((1, 4, 4, 3), np.zeros((4, 5, 3)), "is 4×5×3, but the network takes 4×4×3"),
        ((1, None, 3), np.zeros((7, 2)), "is 7×2, but the network takes ?×3"),
        ((1, 3), np.float64(1), "is a single number, but the network takes 3"),
        ((1,), np.zeros(3), "is 3, but the network takes a single number"),
        ((1, 2), np.array(["a", "b"]), "is <U1, but the network takes float32"),
        ((1, 2), np.zeros(2, complex), "is complex128, but the network takes float32"),
    ],
)
def test_samples_that_do_not_fit_are_shown_beside_what_fits(
    shape: stand_ins.Shape, array: Any, says: str
) -> None:
    (spec,) = stand_ins.network({"x": shape}).inputs
    with pytest.raises(DataError, match="here: a sample for input 'x'") as caught:
        check_sample(np.asarray(array), spec, "here")
    assert says in caught.value.message


def test_fractions_are_no_tokens() -> None:
    (spec,) = stand_ins.network({"tokens": (1, 2)}, dtype="int32").inputs
    check_sample(np.array([1.0, 2.0]), spec, "here")
    with pytest.raises(DataError, match="float64, but the network takes int32"):
        check_sample(np.array([1.0, 2.5]), spec, "here")
