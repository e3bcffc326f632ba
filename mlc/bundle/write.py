"""The output folder: written aside, checked, then put in place of the previous one."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from mlc.bundle.manifest import MANIFEST, make_manifest
from mlc.errors import MachineError, UsageError
from mlc.report.report import Report

__all__ = ["FAILED", "REPORT", "Bundle"]

REPORT, LOG, FAILED = "report.json", "build.log", "failed"


class Bundle:
    """A bundle in the making. State: a folder beside the output, renamed at the very end.

    Raises `UsageError` when the output is a folder that no build of ours has written, `MachineError`
    when it cannot be written.
    """

    def __init__(self, output: Path) -> None:
        self._output = output.resolve()
        if self._output.is_file():
            raise UsageError(f"The output {output} is a file.", "Give a folder with -o.")
        ours = (self._output / MANIFEST).is_file()
        if self._output.is_dir() and any(self._output.iterdir()) and not ours:
            raise UsageError(
                f"The output folder {output} holds other files, which a build would replace.",
                "Give a new folder with -o, or empty that one.",
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

    def write(self, report: Report, artifacts: Mapping[str, Path]) -> Report:
        """Copy the artifacts, write manifest and report, and put the bundle in place.

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
        report = replace(report, rows=tuple(rows))
        text = json.dumps(report.to_json(), indent=1, sort_keys=True, ensure_ascii=False)
        (self._aside / REPORT).write_text(text, encoding="utf-8")
        manifest = make_manifest(report, self._aside)
        text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False)
        (self._aside / MANIFEST).write_text(text, encoding="utf-8")
        self._put_in_place()
        return report

    def _put_in_place(self) -> None:
        self._aside.chmod(0o755)
        previous = self._aside.with_name(self._aside.name + ".previous")
        if self._output.exists():
            self._output.rename(previous)
        self._aside.rename(self._output)
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


def _copy(source: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, to)
    else:
        shutil.copyfile(source, to)
