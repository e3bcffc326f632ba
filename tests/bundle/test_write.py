"""The output folder: whole or not at all, and never over what is not ours."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlc.bundle.manifest import read_manifest
from mlc.bundle.write import Bundle
from mlc.errors import MachineError, SourceError, UsageError
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import FLOAT32
from mlc.report.report import Report, Row
from mlc.store import tree_digest
from mlc.targets.target import Emission
from mlc.validate.evidence import Evidence
from mlc.validate.size import measure
from tests import stand_ins


@pytest.fixture
def report(tmp_path: Path) -> tuple[Report, dict[str, Path]]:
    """A file, a folder, a failed artifact, and a target that emitted nothing."""
    made = tmp_path / "made"
    (made / "web" / "deep").mkdir(parents=True)
    (made / "m.tflite").write_bytes(b"tflite")
    (made / "m.onnx").write_bytes(b"onnx")
    (made / "web" / "model.json").write_text("{}")
    (made / "web" / "deep" / "weights.bin").write_bytes(bytes(100))

    def row(target: str, name: str, level: Any) -> Row:
        path = made / name
        emission = Emission(path, "float32", "float32", ("a note",))
        return Row(target, level, emission, measure(path), tree_digest(path))

    rows = (
        Row("coreml", "failed", evidence=Evidence(failure="no")),
        row("tflite", "m.tflite", "verified"),
        row("onnx", "m.onnx", "failed"),
        row("tfjs", "web", "regressed"),
    )
    report = Report(stand_ins.network(), 100, "fp32", "rows", False, rows)
    return report, {r.target: r.emission.path for r in rows if r.emission}


Write = Callable[[Path], Report]


@pytest.fixture
def write(report: tuple[Report, dict[str, Path]]) -> Write:
    def write(output: Path) -> Report:
        with Bundle(output) as bundle:
            bundle.log.write_text("chatter")
            return bundle.write(*report, Plan(FLOAT32))

    return write


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


WHOLE = [
    "build.log",
    "failed/m.onnx",
    "m.tflite",
    "manifest.json",
    "plan.json",
    "report.json",
    "web/deep/weights.bin",
    "web/model.json",
]


def test_a_bundle_holds_artifacts_manifest_report_and_log(write: Write, tmp_path: Path) -> None:
    written = write(tmp_path / "new" / "dist")
    assert names(tmp_path / "new" / "dist") == WHOLE
    assert names(tmp_path / "new") == [f"dist/{name}" for name in WHOLE], "nothing is left beside"
    assert [row.file for row in written.rows] == ["", "m.tflite", "failed/m.onnx", "web"]
    stored = json.loads((tmp_path / "new" / "dist" / "report.json").read_text())
    assert [row["state"] for row in stored["artifacts"]] == [row.level for row in written.rows]
    assert (tmp_path / "new" / "dist").stat().st_mode & 0o777 == 0o755


def test_a_second_build_replaces_the_first(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "dist")
    (tmp_path / "made" / "m.tflite").write_bytes(b"changed")
    write(tmp_path / "dist")
    assert (tmp_path / "dist" / "m.tflite").read_bytes() == b"changed"
    assert names(tmp_path / "dist") == WHOLE
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dist", "made"]


def test_an_empty_folder_may_be_used(write: Write, tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / ".DS_Store").write_text("litter")
    write(tmp_path / "dist")
    assert names(tmp_path / "dist") == WHOLE


def test_a_link_is_followed(write: Write, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "dist").symlink_to(tmp_path / "elsewhere")
    write(tmp_path / "dist")
    assert (tmp_path / "dist").is_symlink()
    assert names(tmp_path / "elsewhere") == WHOLE


@pytest.mark.parametrize("file", ["thesis.txt", "deep/thesis.txt", ".hidden"])
def test_other_files_are_never_replaced(file: str, write: Write, tmp_path: Path) -> None:
    (tmp_path / "dist" / file).parent.mkdir(parents=True)
    (tmp_path / "dist" / file).write_text("years of work")
    with pytest.raises(UsageError, match=f"holds other files \\({file}\\)"):
        write(tmp_path / "dist")
    assert (tmp_path / "dist" / file).read_text() == "years of work"


def test_a_manifest_of_another_program_does_not_make_a_folder_ours(
    write: Write, tmp_path: Path
) -> None:
    """A web app or a browser extension has a manifest.json too."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "manifest.json").write_text('{"manifest_version": 3}')
    (tmp_path / "app" / "main.js").write_text("years of work")
    with pytest.raises(UsageError, match="holds other files"):
        write(tmp_path / "app")
    assert names(tmp_path / "app") == ["main.js", "manifest.json"]


def test_what_was_put_into_a_bundle_later_is_not_lost(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "dist")
    (tmp_path / "dist" / "notes.md").write_text("measured on the phone")
    with pytest.raises(UsageError, match=r"notes\.md"):
        write(tmp_path / "dist")
    assert (tmp_path / "dist" / "notes.md").exists()


def test_the_current_folder_is_not_replaced(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's shell would stand in a folder that is gone."""
    (tmp_path / "here" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "deeper")
    for output in (Path(), tmp_path / "here"):
        with pytest.raises(UsageError, match="is, or holds, the current folder"):
            write(output)


def test_a_file_is_no_folder(write: Write, tmp_path: Path) -> None:
    (tmp_path / "dist").write_text("a file")
    with pytest.raises(UsageError, match="is a file"):
        write(tmp_path / "dist")
    with pytest.raises(MachineError, match="cannot be written: "):
        write(tmp_path / "dist" / "below")
    assert (tmp_path / "dist").read_text() == "a file"


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["copyfile", "copytree"])
def test_a_full_disk_leaves_the_previous_bundle(
    where: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulated: the copy raises what a full disk makes it raise."""
    write(tmp_path / "dist")
    before = tree_digest(tmp_path / "dist")
    monkeypatch.setattr(shutil, where, full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "dist")
    assert tree_digest(tmp_path / "dist") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dist", "made"]


@pytest.mark.parametrize(
    "stop", [OSError(errno.EBUSY, "Device or resource busy"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("at", [1, 2])
def test_whatever_stops_the_exchange_the_previous_bundle_stays(
    at: int,
    stop: BaseException,
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path / "dist")
    before = tree_digest(tmp_path / "dist")
    rename, calls = Path.rename, []

    def failing(self: Path, to: Path) -> Path:
        calls.append(to)
        if len(calls) == at:
            raise stop
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises((MachineError, KeyboardInterrupt)) as caught:
        write(tmp_path / "dist")
    if isinstance(stop, OSError):
        assert "cannot be replaced: Device or resource busy" in str(caught.value)
    assert tree_digest(tmp_path / "dist") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dist", "made"]


def test_an_error_inside_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SourceError), Bundle(tmp_path / "dist"):
        raise SourceError("no such model")
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_lists_every_file_with_its_digest(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "dist")
    manifest = read_manifest(tmp_path / "dist")
    assert sorted(manifest["files"]) == [name for name in WHOLE if name != "manifest.json"]
    for name, entry in manifest["files"].items():
        assert entry["sha256"] == tree_digest(tmp_path / "dist" / name)
        assert entry["bytes"] == (tmp_path / "dist" / name).stat().st_size
    for entry in manifest["artifacts"]:
        assert entry["sha256"] == tree_digest(tmp_path / "dist" / entry["file"])
    assert [a["target"] for a in manifest["artifacts"]] == ["tflite", "onnx", "tfjs"]


def test_the_bundle_does_not_depend_on_when_and_where_it_is_written(
    write: Write, tmp_path: Path
) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b")
    assert tree_digest(tmp_path / "a") == tree_digest(tmp_path / "b")
