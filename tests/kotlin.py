"""Kotlin and Android's build tools for tests: the toolchains, or a skip."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tests.toolchains import TOOLCHAINS, run

__all__ = ["android", "jars", "kotlin", "path"]


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
