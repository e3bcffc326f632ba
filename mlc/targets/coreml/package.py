"""The `.mlpackage` folder: find its parts, and give it the same bytes for the same content."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

from mlc.errors import SourceError

__all__ = ["is_package", "normalize", "read_spec", "write_spec"]

_MANIFEST = "Manifest.json"
# Says on which day the model was converted: true of the bytes only once.
_CLOCK = "com.github.apple.coremltools.conversion_date"


def is_package(path: Path) -> bool:
    """Whether this is a package folder; never raises."""
    return path.suffix == ".mlpackage" and (path / _MANIFEST).is_file()


def read_spec(path: Path) -> Any:
    """The protobuf `Model` of a package or of a bare `.mlmodel` file.

    Read by the message classes alone: importing all of coremltools takes seconds.
    """
    from google.protobuf.message import DecodeError

    from mlc.targets.coreml.evaluator.program import _messages

    try:
        return _messages().Model.FromString(_model_file(path).read_bytes())
    except (DecodeError, FileNotFoundError, KeyError, json.JSONDecodeError) as error:
        raise SourceError(
            f"{path.name} is not a Core ML model: {type(error).__name__} on reading its parts.",
            "Convert it again, or copy it again with all of its folder.",
        ) from error


def write_spec(path: Path, spec: Any) -> None:
    """Write the protobuf back, with map entries in the order of their keys."""
    _model_file(path).write_bytes(spec.SerializeToString(deterministic=True))


def normalize(path: Path) -> None:
    """Remove from a package what differs between two builds of the same network.

    1. The conversion date leaves the metadata.
    2. Protobuf maps are written in the order of their keys.
    3. The model file is readable by all, not only by the user that converted it.
    4. The manifest's random item identifiers become UUIDs of what the items contain.
    """
    spec = read_spec(path)
    spec.description.metadata.userDefined.pop(_CLOCK, None)
    write_spec(path, spec)
    _model_file(path).chmod(0o644)

    manifest = json.loads((path / _MANIFEST).read_text())
    root = manifest["rootModelIdentifier"]
    renamed = {
        old: str(uuid.uuid5(uuid.NAMESPACE_OID, _digest(path / "Data" / item["path"]))).upper()
        for old, item in manifest["itemInfoEntries"].items()
    }
    manifest["itemInfoEntries"] = {
        renamed[old]: item for old, item in manifest["itemInfoEntries"].items()
    }
    manifest["rootModelIdentifier"] = renamed[root]
    (path / _MANIFEST).write_text(json.dumps(manifest, indent=4, sort_keys=True))


def _model_file(path: Path) -> Path:
    if path.is_file():
        return path
    manifest = json.loads((path / _MANIFEST).read_text())
    root = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
    return path / "Data" / str(root["path"])


def _digest(part: Path) -> str:
    """SHA-256 over the names and bytes of a file or folder."""
    sha = hashlib.sha256(part.name.encode())
    for file in [part] if part.is_file() else sorted(p for p in part.rglob("*") if p.is_file()):
        sha.update(file.relative_to(part).as_posix().encode())
        sha.update(hashlib.sha256(file.read_bytes()).digest())
    return sha.hexdigest()
