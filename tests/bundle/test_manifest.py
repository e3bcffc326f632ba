"""manifest.json: valid by its schema, or refused by the place that is wrong."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest

from mlc.bundle.manifest import interface, make_manifest, read_manifest
from mlc.convert.preprocessing import Preprocessing
from mlc.errors import SourceError
from mlc.optimize.recipe import Precision
from mlc.report.report import Report
from tests import stand_ins


@pytest.fixture
def manifest(tmp_path: Path) -> dict[str, Any]:
    network = stand_ins.network(
        labels=("a", "b", "ç"), preprocessing=Preprocessing(mean=(1, 2, 3), color="bgr")
    )
    (tmp_path / "model.bin").write_bytes(b"abc")
    return make_manifest(Report(network, 1, "int8", "rows", True, ()), tmp_path)


def test_it_says_what_an_app_must_know(manifest: dict[str, Any]) -> None:
    assert manifest["format"] == 1
    assert manifest["model"]["name"] == "model"
    assert manifest["inputs"] == [{"name": "image", "shape": [1, 8, 8, 3], "dtype": "float32"}]
    assert manifest["outputs"][0]["name"] == "scores"
    assert manifest["labels"] == ["a", "b", "ç"]
    assert Preprocessing.from_json(manifest["preprocessing"]).mean == (1, 2, 3)
    assert manifest["recipe"] == "int8"
    assert list(manifest["files"]) == ["model.bin"]


def write(folder: Path, manifest: Any) -> Path:
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_it_is_read_back_as_it_was_written(manifest: dict[str, Any], tmp_path: Path) -> None:
    assert read_manifest(write(tmp_path, manifest)) == manifest


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"format": 2}, "format"),
        ({"labels": "abc"}, "labels"),
        ({"inputs": []}, "inputs"),
        ({"extra": 1}, "top"),
        ({"files": {"a": {"sha256": "x", "bytes": 1}}}, "files/a/sha256"),
        ({"preprocessing": {"color": "rgb"}}, "preprocessing"),
        ({"artifacts": [{"target": "wasm"}]}, "artifacts/0"),
    ],
)
def test_what_breaks_the_schema_is_named_by_its_place(
    change: dict[str, Any], where: str, manifest: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=f"is not a valid manifest at {where}"):
        read_manifest(write(tmp_path, {**manifest, **change}))


@pytest.mark.parametrize("missing", ["format", "files", "artifacts", "source"])
def test_nothing_may_be_missing(missing: str, manifest: dict[str, Any], tmp_path: Path) -> None:
    del manifest[missing]
    with pytest.raises(SourceError, match=f"'{missing}' is a required property"):
        read_manifest(write(tmp_path, manifest))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "hello"])
def test_what_is_no_manifest_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(SourceError, match=r"manifest\.json"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x00"])
def test_bytes_that_are_no_text_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(SourceError, match=r"manifest\.json cannot be read"):
        read_manifest(tmp_path)


def test_a_folder_without_one_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is not a bundle"):
        read_manifest(tmp_path)


def test_models_of_one_interface_can_stand_in_for_each_other(
    manifest: dict[str, Any], tmp_path: Path
) -> None:
    """Generated code depends on tensors, preprocessing and labels; on nothing else of a bundle."""
    assert manifest["interface"] == interface(manifest)
    assert interface({**manifest, "recipe": "fp16", "model": {}, "artifacts": []}) == interface(
        manifest
    )
    tensor = {"name": "image", "shape": [1, 9, 9, 3], "dtype": "float32"}
    changes = {"labels": ["a", "c", "b"], "preprocessing": None, "inputs": [tensor], "outputs": []}
    others = {interface({**manifest, name: value}) for name, value in changes.items()}
    assert len({interface(manifest), *others}) == 5


def test_every_precision_of_the_code_is_one_of_the_schema() -> None:
    schema = json.loads((files("mlc.bundle") / "manifest.schema.json").read_text())
    assert set(schema["$defs"]["precision"]["enum"]) == set(get_args(Precision))
