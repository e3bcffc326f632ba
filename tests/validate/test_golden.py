"""Golden cases: what belongs together is written together, and read back as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.network import Network
from mlc.convert.preprocessing import Preprocessing
from mlc.data.dataset import open_data
from mlc.data.synthesized import synthesize
from mlc.validate.golden import measure, read_cases, record_cases
from tests import stand_ins


def brightness(feeds: Any) -> Any:
    """Scores of three classes from the mean of each channel."""
    return {"scores": feeds["image"].astype(np.float64).mean(axis=(1, 2)).astype(np.float32)}


@pytest.fixture
def network() -> Network:
    return stand_ins.network(
        {"image": (1, 20, 30, 3)}, preprocessing=Preprocessing(resize="crop", scale=1 / 255)
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(7):
        stand_ins.picture(rng.integers(0, 256, (90, 200, 3), np.uint8)).save(folder / f"{k}.png")
    return folder


def recorded(network: Network, dataset: Any, count: int, folder: Path) -> list[dict[str, Any]]:
    runtime = stand_ins.Function(network, brightness)
    record_cases(runtime, network, dataset, count, folder)
    return read_cases(folder)


def tensor(folder: Path, row: Any) -> Any:
    return np.frombuffer((folder / row["file"]).read_bytes(), "<f4").reshape(row["shape"])


@pytest.mark.parametrize("given", [True, False])
def test_picture_tensor_and_outputs_of_a_case_belong_together(
    given: bool, network: Network, photos: Path, tmp_path: Path
) -> None:
    from PIL import Image

    dataset = open_data(str(photos), network, 10) if given else synthesize(network, 8)
    folder = tmp_path / "golden"
    cases = recorded(network, dataset, 3, folder)
    assert [case["name"] for case in cases] == ["1", "2", "3"]
    how = network.preprocessing
    assert how is not None
    for case in cases:
        with Image.open(folder / case["picture"]) as picture:
            assert picture.mode == "RGB"
            assert max(picture.size) <= 45  # 1.5 times the input
            assert picture.size != (30, 20), "resizing would not be tested"
            pixels = how.pixels(picture, 20, 30)
        (image,), (scores,) = case["inputs"], case["outputs"]
        assert image["shape"] == [1, 20, 30, 3]
        assert np.array_equal(tensor(folder, image)[0], how.tensor(pixels))
        expected = brightness({"image": tensor(folder, image)})["scores"]
        assert np.array_equal(tensor(folder, scores), expected)
        assert case["top1"] == int(expected.argmax())


def test_an_artifact_is_measured_on_them(network: Network, tmp_path: Path) -> None:
    folder = tmp_path / "golden"
    cases = recorded(network, synthesize(network, 8), 2, folder)
    exact = measure(stand_ins.Function(network, brightness), network, folder)
    assert exact is not None
    assert exact.errors == {"scores": 0}
    assert list(exact.top1) == [case["top1"] for case in cases]
    off = stand_ins.Function(
        network, lambda feeds: {"scores": brightness(feeds)["scores"] - np.float32(0.25)}
    )
    measured = measure(off, network, folder)
    assert measured is not None
    assert measured.errors["scores"] == pytest.approx(0.25, abs=1e-6)


def test_tensors_of_the_user_have_no_picture(network: Network, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 20, 30, 3), np.float32))
    cases = recorded(network, open_data(str(tmp_path / "d.npz"), network, 4), 2, tmp_path / "g")
    assert [case["picture"] for case in cases] == [None, None]


def test_integers_are_written_as_floats(tmp_path: Path) -> None:
    network = stand_ins.network({"tokens": (1, 6)}, {"x": (1, 6)}, ending="Add", dtype="int32")
    runtime = stand_ins.Function(network, lambda feeds: {"x": feeds["tokens"].astype(np.float32)})
    folder = tmp_path / "golden"
    record_cases(runtime, network, synthesize(network, 4), 2, folder)
    (case, _) = read_cases(folder)
    assert np.array_equal(tensor(folder, case["inputs"][0]), tensor(folder, case["outputs"][0]))
    assert case["top1"] is None


@pytest.mark.parametrize(("count", "dtype"), [(0, "float32"), (3, "object")])
def test_there_may_be_none(count: int, dtype: str, network: Network, tmp_path: Path) -> None:
    subject = network if dtype == "float32" else stand_ins.network({"t": (1,)}, dtype=dtype)
    assert recorded(subject, synthesize(network, 4), count, tmp_path / "golden") == []
    assert measure(stand_ins.Function(subject, brightness), subject, tmp_path / "golden") is None
