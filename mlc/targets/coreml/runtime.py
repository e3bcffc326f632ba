"""Open a Core ML file for running."""

from __future__ import annotations

from pathlib import Path

from mlc.errors import UnverifiableError
from mlc.targets.target import Runtime

__all__ = ["open"]


def open(path: Path) -> Runtime:
    """Load the package from disk. Raises `UnverifiableError` where it cannot be run here."""
    raise UnverifiableError(
        "Core ML runs on Apple systems only; this package was written, not executed.",
        "Check it on a Mac with mlc validate.",
    )
