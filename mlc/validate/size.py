"""What an artifact weighs: on disk, and as the download that an app store or web server compresses."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Size", "measure", "weigh"]

_BROTLI = (
    5  # what servers compress with on the fly; the best quality is 1 % smaller, and takes minutes
)


@dataclass(frozen=True)
class Size:
    """Bytes of all files together: as they are, and each compressed by gzip and by brotli."""

    raw: int
    gzip: int
    brotli: int


def measure(path: Path) -> Size:
    """Size of a file, or of all files of a folder."""
    import brotli

    raw = zipped = squeezed = 0
    for file in _files(path):
        content = file.read_bytes()
        raw += len(content)
        zipped += len(gzip.compress(content, compresslevel=6, mtime=0))
        squeezed += len(brotli.compress(content, quality=_BROTLI))
    return Size(raw, zipped, squeezed)


def weigh(path: Path) -> int:
    """Bytes of a file, or of all files of a folder, without reading them."""
    return sum(file.stat().st_size for file in _files(path))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
