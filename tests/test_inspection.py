"""`inspect` on every kind of source and artifact."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlc import targets
from mlc.convert.read import ReadOptions
from mlc.errors import SourceError
from mlc.inspection import inspect, summarise
from tests import networks
from tests.command import Built

pytestmark = pytest.mark.xdist_group("build")


@pytest.mark.parametrize("kind", [".keras", ".h5", "saved_model"])
def test_sources_are_summarised(kind: str, tmp_path: Path) -> None:
    """What runs in the worker, run here."""
    model = networks.make("cnn")
    path = tmp_path / f"m{kind}"
    model.export(path, verbose=False) if kind == "saved_model" else model.save(path)
    found = summarise(path, ReadOptions())
    assert [str(s) for s in found.inputs] == ["image 1×24×24×3 float32"]
    assert found.parameters == model.count_params()
    assert found.ops["Conv2D"] == 3
    assert found.ops["DepthwiseConv2dNative"] == 1
    assert "Placeholder" not in found.ops
    assert len(found.metadata["sha256"]) == 64
    assert found.format.startswith("SavedModel" if kind == "saved_model" else "Keras 3.")


@pytest.mark.parametrize("target", ["tflite", "onnx"])
def test_artifacts_are_inspected_without_a_worker(
    target: str, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlc.workers.Workers.submit", lambda *_: pytest.fail("a worker"))
    found = inspect(built.dist / f"cnn.{target}")
    assert found.summary.format.startswith(targets.title(target))
    assert [s.name for s in found.summary.inputs] == ["image"]
    assert found.size.raw > found.size.gzip > 0


def test_what_is_neither_is_refused_as_a_source(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(SourceError, match="is not a Keras model"):
        inspect(tmp_path / "notes.txt")
    with pytest.raises(SourceError, match="does not exist"):
        inspect(tmp_path / "missing")
