"""mlc from Python: the names, and that they do what the commands do."""

from __future__ import annotations

import inspect
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlc
from mlc.errors import Exit, MlcError, SourceError, UsageError
from mlc.store import tree_digest
from mlc.workers import Workers
from tests.command import Built, python

pytestmark = pytest.mark.xdist_group("build")


@pytest.fixture(autouse=True)
def _no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of this is known from the build that the tests share."""

    def refuse(*_: object) -> None:
        pytest.fail("a worker was started")

    monkeypatch.setattr(Workers, "submit", refuse)


def test_the_public_names_are_these() -> None:
    assert mlc.__all__ == ["__version__", "build", "inspect", "open", "validate"]
    for name in mlc.__all__[1:]:
        function = getattr(mlc, name)
        assert inspect.isfunction(function), f"{name} is hidden by the module of that name"
        assert inspect.getdoc(function)
    with pytest.raises(AttributeError, match="has no attribute 'bild'"):
        mlc.bild  # noqa: B018


@pytest.mark.parametrize("targets", ["tflite,onnx", ["onnx", "tflite"], ("tflite", "onnx")])
def test_build_takes_a_path_and_gives_the_report(
    targets: Any, built: Built, tmp_path: Path
) -> None:
    report = mlc.build(built.source, tmp_path / "d", targets=targets, data=built.data)
    assert [(row.target, row.level) for row in report.rows] == [
        ("tflite", "verified"), ("onnx", "verified"),
    ]  # fmt: skip
    assert report.exit_code == Exit.OK
    for name in ("cnn.tflite", "cnn.onnx"):
        assert tree_digest(tmp_path / "d" / name) == tree_digest(built.dist / name)


def test_limits_are_pairs(built: Built, tmp_path: Path) -> None:
    report = mlc.build(
        str(built.source),
        str(tmp_path / "d"),
        targets="tflite,onnx",
        data=str(built.data),
        limits=[("max_size", "onnx=1kB")],
    )
    assert report.exit_code == Exit.GATE
    assert [row.level for row in report.rows] == ["verified", "regressed"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sampels": 5}, "no setting 'sampels'"),
        ({"recipe": "int4"}, "no recipe 'int4'"),
        ({"targets": ["wasm"]}, "no target 'wasm'"),
        ({"batch": 0}, "The batch is 0"),
    ],
)
def test_a_misspelt_setting_is_not_passed_over(
    settings: dict[str, Any], says: str, built: Built, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=says):
        mlc.build(built.source, tmp_path / "d", **settings)
    assert not (tmp_path / "d").exists()


def test_what_is_no_model_is_an_error_of_the_family(tmp_path: Path) -> None:
    for source in (tmp_path / "missing.h5", 42, object()):
        with pytest.raises(MlcError) as caught:
            mlc.build(source, tmp_path / "d")
        assert isinstance(caught.value, SourceError)
        assert caught.value.hint
    assert not (tmp_path / "d").exists()


def test_validate_takes_a_bundle(built: Built) -> None:
    report = mlc.validate(built.dist, built.source, data=built.data)
    assert [row.level for row in report.rows] == ["verified", "verified"]
    assert report.rows[0].file == str(built.dist / "cnn.tflite")


def test_inspect_and_open_take_an_artifact(built: Built) -> None:
    found = mlc.inspect(str(built.dist / "cnn.tflite"))
    assert found.summary.format == "TFLite"
    assert found.size.raw == (built.dist / "cnn.tflite").stat().st_size
    image = np.load(built.data)["x"][:1]
    scores = []
    for name in ("cnn.tflite", "cnn.onnx"):
        with closing(mlc.open(built.dist / name)) as runtime:
            scores.append(runtime.run({"image": image})["scores"])
    assert scores[0].shape == (1, 5)
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)
    assert scores[0].sum() == pytest.approx(1, abs=1e-5)


def test_open_refuses_what_is_no_artifact(built: Built, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for path in (tmp_path / "notes.txt", tmp_path / "missing.tflite", built.source):
        with pytest.raises(SourceError):
            mlc.open(path)


@pytest.mark.parametrize("first", ["mlc.build", "mlc.api", "mlc.cli", "mlc.validation"])
def test_modules_of_the_same_name_do_not_hide_the_functions(first: str, tmp_path: Path) -> None:
    code = f"""
import importlib, inspect
importlib.import_module({first!r})
import mlc
from mlc.build import build as pipeline
print([inspect.isfunction(getattr(mlc, name)) for name in mlc.__all__[1:]], mlc.build is pipeline)
"""
    assert python(code, tmp_path).out == "[True, True, True, True] False\n"
