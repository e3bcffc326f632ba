"""Look at a channel as a device would, and at every file of every release."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mlc.channel import folder as channels
from mlc.channel import keys
from mlc.channel.document import File, Models

__all__ = ["Status", "status"]


@dataclass(frozen=True)
class Status:
    """What a channel offers and what is wrong with it; it is whole when `problems` is empty."""

    folder: Path
    key: str
    models: Models
    files: int
    bytes: int
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data for --json."""
        return {
            "key": self.key,
            "models": asdict(self.models),
            "files": self.files,
            "bytes": self.bytes,
            "problems": list(self.problems),
        }


def status(folder: Path, public: str | None = None) -> Status:
    """Verify a channel: its signature, by `public` or the key that it names itself, and all hashes.

    Raises `SourceError` when the document cannot be trusted: then nothing else in it can be looked at.
    """
    if public:
        keys.parse_public(public)
    key = public or channels.public_key(folder)
    models = channels.read(folder, key)
    files = {
        file.sha256: file
        for release in models.releases
        for variant in release.variants
        for model in variant.targets.values()
        for file in model.files
    }
    problems = [p for file in files.values() if (p := _problem(folder, file))]
    if models.expires and models.expires < datetime.now(timezone.utc).date().isoformat():
        problems.append(
            f"It expired on {models.expires}: devices refuse it. Publish, with --expires."
        )
    return Status(
        folder, key, models, len(files), sum(f.bytes for f in files.values()), tuple(problems)
    )


def _problem(folder: Path, file: File) -> str | None:
    path = channels.file_path(file.sha256)
    try:
        data = (folder / path).read_bytes()
    except OSError as error:
        return f"{path} ({file.path}) cannot be read: {error.strerror}."
    if hashlib.sha256(data).hexdigest() != file.sha256:
        return f"{path} ({file.path}) was changed: its SHA-256 is another."
    return None
