"""models.json: what a channel tells devices to run. Its schema is beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files as resources
from typing import Any

from mlc.errors import SourceError, UsageError

__all__ = ["BUCKETS", "MAIN", "PLATFORMS", "File", "Model", "Models", "Release", "Variant"]

BUCKETS = 10_000
PLATFORMS = ("ios", "android", "web")
MAIN = "main"  # the variant of a release that has only one


@dataclass(frozen=True)
class File:
    """One file of a model: where it belongs in the bundle, and what its bytes are."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Model:
    """What one target downloads: the part of a bundle that a device needs, manifest included.

    `interface` is the manifest's: apps whose generated code has another one cannot use this model.
    `digest` names the model: SHA-256 of its files' names and digests.
    """

    artifact: str
    state: str
    interface: str
    digest: str
    files: tuple[File, ...]


@dataclass(frozen=True)
class Variant:
    """One arm of an A/B test: `share` of the 10000 buckets get these models."""

    name: str
    share: int
    targets: Mapping[str, Model]


@dataclass(frozen=True)
class Release:
    """One version of the model, and the devices it is for."""

    version: str
    variants: tuple[Variant, ...]
    withdrawn: bool = False
    rollout: int = BUCKETS
    minimum_app: Mapping[str, str] = field(default_factory=dict)
    below_app: Mapping[str, str] = field(default_factory=dict)
    minimum_os: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Models:
    """The whole document. Every change has a higher `sequence`; releases stand newest first."""

    name: str
    sequence: int
    releases: tuple[Release, ...]
    expires: str | None = None

    def release(self, version: str) -> Release:
        """The release of that version; raises `SourceError` if there is none."""
        for release in self.releases:
            if release.version == version:
                return release
        known = ", ".join(r.version for r in self.releases)
        raise SourceError(f"The channel has no version {version!r}.", f"It has {known}.")

    def to_bytes(self) -> bytes:
        """The bytes that are signed: the same for the same content.

        Raises `UsageError` for what the schema does not allow, such as a name with a space.
        """
        plain = json.loads(json.dumps({"format": 1, **asdict(self)}))
        if problem := _problem(plain):
            raise UsageError(
                f"A channel cannot say this: {problem}.", "docs/channel.md has the rules."
            )
        text = json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False)
        return (text + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Models:
        """Read the document; raises `SourceError` that names what is wrong with it."""
        try:
            plain = json.loads(data)
        except ValueError as error:  # no JSON, or no text at all
            raise SourceError(f"models.json cannot be read: {error}.") from error
        if problem := _problem(plain):
            raise SourceError(f"models.json is not valid: {problem}.")
        return cls(
            plain["name"],
            plain["sequence"],
            tuple(_release(r) for r in plain["releases"]),
            plain["expires"],
        )


def digest(files: tuple[File, ...]) -> str:
    """SHA-256 of the lines `sha256  path`, as `sha256sum` prints them, in the order of the paths."""
    lines = (f"{file.sha256}  {file.path}\n" for file in sorted(files, key=lambda f: f.path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _release(plain: Mapping[str, Any]) -> Release:
    return Release(
        plain["version"],
        tuple(_variant(v) for v in plain["variants"]),
        plain["withdrawn"],
        plain["rollout"],
        plain["minimum_app"],
        plain["below_app"],
        plain["minimum_os"],
        tuple(plain["conditions"]),
    )


def _variant(plain: Mapping[str, Any]) -> Variant:
    targets = {name: model(m) for name, m in plain["targets"].items()}
    return Variant(plain["name"], plain["share"], targets)


def model(plain: Mapping[str, Any]) -> Model:
    """The model of its plain data."""
    return Model(
        plain["artifact"],
        plain["state"],
        plain["interface"],
        plain["digest"],
        tuple(File(f["path"], f["sha256"], f["bytes"]) for f in plain["files"]),
    )


def _problem(plain: Any) -> str | None:
    """Where and how the document breaks the schema, if it does."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(plain))
    return f"{'/'.join(map(str, error.absolute_path)) or 'top'}: {error.message}" if error else None


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    schema = json.loads(resources("mlc.channel").joinpath("models.schema.json").read_text())
    return Draft202012Validator(schema)
