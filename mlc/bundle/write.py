"""The output folder: written aside, checked, then put in place of the previous one."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from mlc.bindings.generate import LANGUAGES, generate
from mlc.bundle.golden import write_golden
from mlc.bundle.manifest import MANIFEST, make_manifest, read_manifest
from mlc.errors import MachineError, SourceError, UsageError
from mlc.optimize.plan import Plan, write_plan
from mlc.report.report import Report

__all__ = ["BINDINGS", "FAILED", "PLAN", "REPORT", "Bundle"]

REPORT, PLAN, LOG, FAILED = "report.json", "plan.json", "build.log", "failed"
BINDINGS = "bindings"


class Bundle:
    """A bundle in the making. State: a folder beside the output, renamed at the very end.

    Raises `UsageError` when the output is a folder that no build of ours has written, or holds a file
    that none has, or is the current one; `MachineError` when it cannot be written.
    """

    def __init__(self, output: Path) -> None:
        self._output = output.resolve()
        if self._output.is_file():
            raise UsageError(f"The output {output} is a file.", "Give a folder with -o.")
        if foreign := _foreign(self._output):
            raise UsageError(
                f"The output folder {output} holds other files ({foreign}), which a build would replace.",
                "Give a new folder with -o, or empty that one.",
            )
        if Path.cwd().is_relative_to(self._output):
            raise UsageError(
                f"The output {output} is, or holds, the current folder: a build would replace it.",
                "Give a folder inside the current one with -o.",
            )
        above = next((p for p in self._output.parents if p.exists() and not p.is_dir()), None)
        if above:
            raise MachineError(
                f"The output {output} cannot be written: {above} is a file.",
                "Choose another with -o.",
            )
        try:
            self._output.parent.mkdir(parents=True, exist_ok=True)
            name = f".{self._output.name}-"
            self._aside = Path(tempfile.mkdtemp(prefix=name, dir=self._output.parent))
        except OSError as error:
            raise MachineError(
                f"The output {output} cannot be written: {error.strerror}.",
                "Choose another with -o.",
            ) from error
        self.log = self._aside / LOG
        self.log.touch()

    def write(
        self,
        report: Report,
        artifacts: Mapping[str, Path],
        plan: Plan,
        cases: Path | None = None,
        bindings: Sequence[str] = (),
    ) -> Report:
        """Copy artifacts and golden `cases`, write plan, manifest, report and the `bindings` in these
        languages, put the bundle in place.

        Artifacts that failed go to `failed/`, where nobody ships them by accident.
        """
        rows = []
        for row in report.rows:
            source = artifacts.get(row.target)
            if source is not None:
                place = Path(FAILED if row.level == "failed" else "") / source.name
                _copy(source, self._aside / place)
                row = replace(row, file=place.as_posix())
            rows.append(row)
        languages = [LANGUAGES[name] for name in bindings]
        usable = {row.target for row in rows if row.file and row.level != "failed"}
        lacking = [language for language in languages if not usable & set(language.targets)]
        notes = [f"No {x.title} bindings: {' and '.join(x.targets)} failed." for x in lacking]
        report = replace(report, rows=tuple(rows), notes=(*report.notes, *notes))
        text = json.dumps(report.to_json(), indent=1, sort_keys=True, ensure_ascii=False)
        (self._aside / REPORT).write_text(text, encoding="utf-8")
        write_plan(plan, self._aside / PLAN)
        if cases is not None:
            write_golden(cases, report, self._aside)
        for language in languages:
            if language not in lacking:
                generate(make_manifest(report, self._aside), language, self._aside / BINDINGS)
        manifest = make_manifest(report, self._aside)
        text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False)
        (self._aside / MANIFEST).write_text(text, encoding="utf-8")
        self._put_in_place()
        return report

    def _put_in_place(self) -> None:
        self._aside.chmod(0o755)
        previous = self._aside.with_name(self._aside.name + ".previous")
        try:
            if self._output.exists():
                self._output.rename(previous)
            self._aside.rename(self._output)
        except OSError as error:
            raise MachineError(
                f"The output {self._output} cannot be replaced: {error.strerror}.",
                "If it is a mounted folder, give a folder inside it with -o.",
            ) from error
        finally:
            if previous.exists() and not self._output.exists():
                previous.rename(self._output)  # whatever stopped us: the previous bundle stays
        shutil.rmtree(previous, ignore_errors=True)

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._aside, ignore_errors=True)


def _foreign(folder: Path) -> str | None:
    """A file in `folder` that no build of ours has written; None if there is none."""
    if not folder.is_dir():
        return None
    try:
        known = {MANIFEST, *read_manifest(folder)["files"]}
    except SourceError:  # many programs call a file manifest.json
        known = set()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        litter = path.name in {".DS_Store", "Thumbs.db"}
        if not (path.is_dir() and not path.is_symlink()) and name not in known and not litter:
            return name
    return None


def _copy(source: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, to)
    else:
        shutil.copyfile(source, to)
