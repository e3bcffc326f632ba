"""Kotlin and Android's build tools for tests: the toolchains, or a skip."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

__all__ = ["android", "jars", "kotlin", "path", "run"]

ROOT = Path(__file__).parents[1]
TOOLCHAINS = ROOT / "toolchains"
_UNAVAILABLE = 77  # what toolchains/*.sh exit with where there is no such toolchain


def kotlin(*arguments: str | Path) -> str:
    """What `toolchains/kotlin.sh` prints."""
    return run(TOOLCHAINS / "kotlin.sh", *arguments)


def android(*arguments: str | Path) -> str:
    """What `toolchains/android.sh` prints."""
    return run(TOOLCHAINS / "android.sh", *arguments)


def jars(pom: str = "pom") -> Path:
    """The folder with the libraries of `toolchains/kotlin/POM.xml`."""
    return Path(kotlin("jars", TOOLCHAINS / "kotlin" / f"{pom}.xml").strip())


def path(parts: Iterable[str | Path]) -> str:
    """A class path."""
    return os.pathsep.join(map(str, parts))


def run(*command: str | Path) -> str:
    """What a tool prints; its failure is that of the test, and a missing toolchain skips it."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode == _UNAVAILABLE:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    if done.returncode:
        pytest.fail(done.stdout + done.stderr)
    return done.stdout
