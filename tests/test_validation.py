"""Whole bundles: what they say of themselves, and what is shown of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlc.store import tree_digest
from tests.command import Built, mlc

pytestmark = pytest.mark.xdist_group("build")


def rewritten(built: Built, folder: Path, **facts: Any) -> Path:
    """The bundle again, but its ONNX file says something else of itself, digests renewed."""
    import onnx

    dist = folder / "dist"
    shutil.copytree(built.dist, dist)
    file = dist / "cnn.onnx"
    model = onnx.load(str(file))
    props = {p.key: p.value for p in model.metadata_props} | facts
    onnx.helper.set_model_props(model, props)
    onnx.save(model, str(file))
    manifest = json.loads((dist / "manifest.json").read_text())
    digest = {"sha256": tree_digest(file)}
    manifest["files"]["cnn.onnx"] |= digest
    (entry,) = [a for a in manifest["artifacts"] if a["target"] == "onnx"]
    entry |= digest
    (dist / "manifest.json").write_text(json.dumps(manifest))
    return dist


def validated(dist: Path, built: Built) -> tuple[int, str]:
    done = mlc("validate", dist, "--against", built.source, "--data", built.data)
    return done.code, " ".join(done.out.split())


def test_artifacts_agree_with_the_manifest(built: Built, tmp_path: Path) -> None:
    done = mlc("validate", built.dist, "--against", built.source, "--data", built.data, "--json")
    assert done.code == 0
    for row in json.loads(done.out)["artifacts"]:
        (check,) = [c for c in row["checks"] if c["name"] == "metadata"]
        assert check["state"] == "passed"
        assert "agree with manifest.json" in check["detail"]
    assert validated(rewritten(built, tmp_path), built)[0] == 0, "the copy alone changes nothing"


def test_one_that_disagrees_fails(built: Built, tmp_path: Path) -> None:
    code, said = validated(rewritten(built, tmp_path, version="7"), built)
    assert code == 1
    assert "metadata_props disagrees with manifest.json: version is '7', not '1.0.0'" in said


def test_a_label_too_many_is_flagged_without_a_bundle_too(built: Built, tmp_path: Path) -> None:
    labels = json.dumps(["background", *"abcde"])
    dist = rewritten(built, tmp_path, labels=labels)
    for artifact in (dist, dist / "cnn.onnx"):
        code, said = validated(artifact, built)
        assert code == 1
        assert "metadata_props names 6 labels, but 'scores' has 5 classes. Drop" in said


def test_inspect_shows_what_a_bundle_adds_to_an_app(built: Built) -> None:
    shown = " ".join(mlc("inspect", built.dist).out.split())
    assert "cnn 1.0.0 bundle of mlc" in shown
    assert "golden 3 cases" in shown
    assert "an app's download grows by: Android" in shown
    told = json.loads(mlc("inspect", built.dist, "--json").out)
    report = json.loads((built.dist / "report.json").read_text())
    assert told["downloads"] == report["downloads"]
    assert {d["target"] for d in told["downloads"]} == {"tflite", "onnx"}
    assert told["manifest"]["interface"]
