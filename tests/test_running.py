"""`mlc run`: arrays in, arrays out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command import Built, mlc

pytestmark = pytest.mark.xdist_group("build")


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arrays")
    image = np.random.default_rng(0).uniform(0, 255, (24, 24, 3)).astype(np.float32)
    np.save(folder / "image.npy", image)
    np.save(folder / "batch.npy", image[None])
    np.save(folder / "small.npy", image[:20])
    np.savez(folder / "named.npz", image=image)
    np.savez(folder / "other.npz", picture=image)
    (folder / "text.npy").write_text("hello")
    return folder


@pytest.mark.parametrize("given", ["image.npy", "batch.npy", "image={}image.npy", "named.npz"])
def test_an_array_may_be_given_in_any_way(
    given: str, built: Built, arrays: Path, tmp_path: Path
) -> None:
    text = given.format(f"{arrays}/") if "{}" in given else f"{arrays}/{given}"
    done = mlc("run", built.dist / "cnn.tflite", "-i", text, "-o", tmp_path / "out.npz")
    assert done.code == 0
    assert "scores 1×5 float32" in done.out
    assert "LiteRT" in done.err
    with np.load(tmp_path / "out.npz") as stored:
        assert stored["scores"].sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("{arrays}/missing.npy", "missing.npy does not exist."),
        ("{arrays}/text.npy", "text.npy is not a NumPy file"),
        ("{arrays}/other.npz", "has no input 'picture'."),
        ("picture={arrays}/image.npy", "has no input 'picture'."),
        ("{arrays}/small.npy", ""),
    ],
)
def test_what_does_not_fit_is_a_sentence(given: str, says: str, built: Built, arrays: Path) -> None:
    done: Any = mlc("run", built.dist / "cnn.tflite", "-i", given.format(arrays=arrays))
    assert done.code == 4, done
    assert says in done.err
    assert len(done.err.strip().splitlines()) <= 2
    assert "Traceback" not in done.err
    assert "defect of mlc" not in done.err


def test_of_a_bundle_its_files_are_named(built: Built, arrays: Path) -> None:
    done = mlc("run", built.dist, "-i", arrays / "image.npy")
    assert done.code == 4
    assert "is a bundle." in done.err
    assert "cnn.tflite" in done.err
