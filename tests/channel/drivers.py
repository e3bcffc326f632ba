"""The clients of all languages as processes that answer one question per line (see driver.py)."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mlc.node import find_node, packages
from tests.kotlin import jars, kotlin, path
from tests.swift import swift
from tests.toolchains import ROOT, TOOLCHAINS, run

__all__ = ["HERE", "LANGUAGES", "Driver"]

HERE = Path(__file__).parent


class Driver:
    """A client that runs. State: its process, started on the first question and after it ended.

    `file_limit` is the most bytes that the system lets it write to a file: a real write error.
    """

    def __init__(self, command: Sequence[str], file_limit: int | None = None) -> None:
        self._command = command
        self._limit = file_limit
        self._process: subprocess.Popen[str] | None = None

    def limited(self, file_limit: int) -> Driver:
        """The same client where files can be no larger."""
        return Driver(self._command, file_limit)

    def ask(self, do: str, **more: Any) -> dict[str, Any] | None:
        """The answer; None where the client ended instead."""
        process = self._running()
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            process.wait()
            return None
        return dict(json.loads(line))

    def close(self) -> None:
        """End the process."""
        if self._process:
            assert self._process.stdin
            self._process.stdin.close()
            self._process.wait(timeout=20)

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                # SIGXFSZ stays ignored as Python has it: a write over the limit fails, it does not kill.
                restore_signals=False,
                preexec_fn=self._limit_files if self._limit else None,
            )
        return self._process

    def _limit_files(self) -> None:
        assert self._limit
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._limit, self._limit))


def _python(_: Path) -> Sequence[str]:
    return [sys.executable, "-m", "tests.channel.driver"]


def _typescript(folder: Path) -> Sequence[str]:
    """Type-checked and compiled by tsc: an error of types fails the tests."""
    node = find_node()
    modules = packages(node, ROOT / "tests" / "bindings" / "typescript") / "node_modules"
    tsc = [node.node, str(modules / "typescript" / "bin" / "tsc")]
    types = ["--typeRoots", str(modules / "@types"), "--outDir", str(folder)]
    run(*tsc, "--project", HERE / "typescript" / "tsconfig.json", *types)
    (folder / "package.json").write_text('{"type": "module"}')
    return [node.node, str(folder / "tests" / "channel" / "typescript" / "driver.js")]


def _kotlin(folder: Path) -> Sequence[str]:
    libraries = [jars() / "kotlin-stdlib.jar", jars() / "json.jar"]
    client = ROOT / "android_sample" / "app" / "src" / "main" / "kotlin" / "mlc" / "updates"
    sources = [*sorted(client.glob("*.kt")), HERE / "kotlin" / "Driver.kt"]
    program = folder / "driver.jar"
    options = ("-Werror", "-jvm-target", "1.8", "-cp", path(libraries), "-d", program)
    kotlin("kotlinc", *options, *sources)
    return ["java", "-cp", path([program, *libraries]), "DriverKt"]


def _swift(folder: Path) -> Sequence[str]:
    places = ("--package-path", HERE / "swift", "--scratch-path", folder)
    swift("swift", "build", *places, "-Xswiftc", "-warnings-as-errors")
    return [str(TOOLCHAINS / "swift.sh"), str(folder / "debug" / "Driver")]


# How each client is made ready, in a folder of its own.
LANGUAGES: dict[str, Callable[[Path], Sequence[str]]] = {
    "python": _python,
    "typescript": _typescript,
    "kotlin": _kotlin,
    "swift": _swift,
}
