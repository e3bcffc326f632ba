"""Reading `model.json`: ours, foreign, broken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.network import TensorSpec
from mlc.errors import SourceError, UnverifiableError
from mlc.targets import tfjs

Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture
def edited(artifact: Path, tmp_path: Path) -> Callable[[Edit], Path]:
    """A copy of the artifact whose `model.json` was changed."""

    def edit(change: Edit) -> Path:
        path = shutil.copytree(artifact, tmp_path / "edited")
        model = json.loads((path / "model.json").read_text())
        change(model)
        (path / "model.json").write_text(json.dumps(model))
        return path

    return edit


def test_inspect(artifact: Path) -> None:
    summary = tfjs.inspect(artifact)
    assert summary.format == "TF.js graph model"
    assert summary.inputs == (TensorSpec("x", (None, 4), "float32"),)
    assert summary.outputs == (TensorSpec("scores", (None, 3), "float32"),)
    assert summary.ops == {"Identity": 1, "MatMul": 1}
    assert summary.parameters == 12


def test_folder_and_file_are_recognised(artifact: Path) -> None:
    assert tfjs.recognises(artifact)
    assert tfjs.recognises(artifact / "model.json")
    assert not tfjs.recognises(next(artifact.glob("*.bin")))
    assert tfjs.inspect(artifact) == tfjs.inspect(artifact / "model.json")


def test_other_json_is_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('["modelTopology", "weightsManifest"]')
    assert not tfjs.recognises(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"modelTopology": {"node": 3}, "weightsManifest": []}']
)
def test_broken_json_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(SourceError, match=r"model\.json"):
        tfjs.open(tmp_path)


def test_a_truncated_shard_is_refused(edited: Callable[[Edit], Path]) -> None:
    path = edited(lambda model: None)
    shard = next(path.glob("*.bin"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(SourceError, match=r"hold 47 bytes, model\.json says 48"):
        tfjs.open(path)


def test_a_missing_shard_is_refused(edited: Callable[[Edit], Path]) -> None:
    path = edited(lambda model: None)
    next(path.glob("*.bin")).unlink()
    with pytest.raises(SourceError, match=r"lacks the shard group1-shard1of1\.bin"):
        tfjs.open(path)


@pytest.mark.parametrize("name", ["../secret.bin", "/etc/passwd", "a/../../secret.bin"])
def test_a_shard_outside_the_folder_is_refused(name: str, edited: Callable[[Edit], Path]) -> None:
    path = edited(lambda model: model["weightsManifest"][0].update(paths=[name]))
    with pytest.raises(SourceError, match="outside its folder"):
        tfjs.inspect(path)


def test_a_layers_model_is_not_verified(edited: Callable[[Edit], Path]) -> None:
    path = edited(lambda model: model.update(format="layers-model"))
    with pytest.raises(UnverifiableError, match="layers model"):
        tfjs.open(path)


def test_text_inputs_are_not_verified(edited: Callable[[Edit], Path]) -> None:
    path = edited(lambda model: model["signature"]["inputs"]["x"].update(dtype="DT_STRING"))
    with pytest.raises(UnverifiableError, match="'x' is of type DT_STRING"):
        tfjs.open(path)


def without_signature(model: dict[str, Any]) -> None:
    del model["signature"]


def as_from_a_frozen_graph(model: dict[str, Any]) -> None:
    model["signature"] = {"outputs": {"scores": {"name": "scores"}}}


def with_suffixed_names(model: dict[str, Any]) -> None:
    for ports in model["signature"].values():
        for name in list(ports):
            ports[f"{name}:0"] = ports.pop(name)


@pytest.mark.parametrize("change", [without_signature, as_from_a_frozen_graph, with_suffixed_names])
def test_foreign_signatures_run(change: Edit, edited: Callable[[Edit], Path]) -> None:
    """As the stock converter writes them, which leaves out what it was not told."""
    with closing(tfjs.open(edited(change))) as runtime:
        assert runtime.inputs == (TensorSpec("x", (None, 4), "float32"),)
        assert [s.name for s in runtime.outputs] == ["scores"]
        assert runtime.run({"x": np.ones((2, 4))})["scores"].shape == (2, 3)
