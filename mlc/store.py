"""The cache: what a stage wrote and returned, by the digest of everything it depended on."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import platformdirs

from mlc.errors import MachineError

__all__ = ["Store", "Stored", "cache_folder", "key", "tools", "tree_digest"]

_RESULT = "result.pickle"
_KEEP_BYTES = 5 * 10**9


@dataclass(frozen=True)
class Stored:
    """What one stage left behind: a folder of files, and the value it returned."""

    folder: Path
    value: Any


class Store:
    """Folders by key. State: the root, where every entry appears whole or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MachineError(
                f"The cache folder {root} cannot be made: {error.strerror}.",
                "Set MLC_CACHE to another folder, or use --no-cache.",
            ) from error

    def get(self, name: str) -> Stored | None:
        """The entry of that key, or None; a damaged one is dropped, to be made again."""
        folder = self._root / name
        try:
            value = pickle.loads((folder / _RESULT).read_bytes())
            os.utime(folder)  # last used: the oldest go first
        except FileNotFoundError:
            return None
        except Exception:  # unpickling damaged bytes may raise anything
            self.discard(folder)
            return None
        return Stored(folder, value)

    def scratch(self) -> Path:
        """A new folder for a stage to write to, on the same disk as the entries."""
        return Path(tempfile.mkdtemp(prefix="writing-", dir=self._root))

    def unfinished(self, name: str) -> tuple[Path, int]:
        """The folder of a stage that goes on where it was interrupted, and a lock that is held on it.

        Close the lock to give it back. A second build at the same time gets a folder of its own.
        """
        folder = self._root / f"unfinished-{name}"
        folder.mkdir(exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return self.scratch(), lock
        return folder, lock

    def put(self, name: str, written: Path, value: Any) -> Stored:
        """Keep what a stage wrote to a scratch folder."""
        (written / _RESULT).write_bytes(pickle.dumps(value))
        try:
            written.rename(self._root / name)
        except OSError:
            if not (self._root / name).is_dir():
                raise
            self.discard(written)  # another build was faster: its entry is as good
        return Stored(self._root / name, value)

    def discard(self, folder: Path) -> None:
        """Forget a scratch folder whose stage failed, or an entry that nobody can use again."""
        shutil.rmtree(folder, ignore_errors=True)

    def trim(self) -> None:
        """Drop what was not used for longest, until 5 GB are left; leftovers of killed builds too."""
        total = 0
        for _, entry in sorted(_by_age(self._root.iterdir()), reverse=True):
            with suppress(FileNotFoundError):  # another build may be trimming too
                total += sum(f.stat().st_size for f in entry.rglob("*") if f.is_file())
            if total > _KEEP_BYTES:
                self.discard(entry)


def _by_age(entries: Iterable[Path]) -> Iterator[tuple[float, Path]]:
    for entry in entries:
        with suppress(FileNotFoundError):
            yield entry.stat().st_mtime, entry


def cache_folder() -> Path:
    """Where everything lives that can be made again; MLC_CACHE moves it."""
    return Path(os.environ.get("MLC_CACHE") or platformdirs.user_cache_dir("mlc", appauthor=False))


def tree_digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files with their relative names, in sorted order."""
    sha = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        if file != path:
            sha.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            while chunk := stream.read(2**20):
                sha.update(chunk)
    return sha.hexdigest()


def key(*parts: object) -> str:
    """Digest of what a stage depends on: values with an exact repr, the tools, and mlc's own code."""
    sha = hashlib.sha256(repr((tools(), _code())).encode())
    for part in parts:
        sha.update(repr(part).encode() + b"\0")
    return sha.hexdigest()


@cache
def tools() -> dict[str, str]:
    """Versions of the packages that decide what is emitted and measured, by distribution name."""
    names = (
        "tensorflow", "keras", "tf-keras", "coremltools", "tf2onnx", "onnx", "onnxruntime",
        "tensorflowjs", "ai-edge-litert", "ai-edge-quantizer", "numpy", "pillow",
    )  # fmt: skip
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


@cache
def _code() -> str:
    sha = hashlib.sha256()
    for file in sorted(Path(__file__).parent.rglob("*")):
        if file.suffix in {".py", ".mjs", ".json"} and "node_modules" not in file.parts:
            sha.update(file.read_bytes())
    return sha.hexdigest()
