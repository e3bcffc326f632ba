"""Publish a bundle, widen a rollout, roll back: each is a new document with the next sequence number."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mlc.bundle.manifest import MANIFEST, interface, read_manifest
from mlc.channel import folder as channels
from mlc.channel import keys
from mlc.channel.document import BUCKETS, MAIN, File, Model, Models, Release, Variant, digest
from mlc.errors import SourceError, UsageError
from mlc.validate.golden import FOLDER

__all__ = ["Signing", "Terms", "publish", "rollback", "rollout"]

# Of a bundle, besides the artifact: what an app reads and what its self-test runs.
_COMMON = (MANIFEST, FOLDER)


@dataclass(frozen=True)
class Terms:
    """Who gets a release, and when; None keeps what the release has, or the default of a new one."""

    rollout: int | None = None
    minimum_app: Mapping[str, str] | None = None
    below_app: Mapping[str, str] | None = None
    minimum_os: Mapping[str, str] | None = None
    conditions: tuple[str, ...] | None = None

    def apply(self, release: Release) -> Release:
        """The release under these terms."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(release, **{k: v for k, v in given.items() if v is not None})


@dataclass(frozen=True)
class Signing:
    """How a document is signed: with which key file, until which day, from which number on.

    `new_key` allows another key than the channel had; `sequence` continues a channel that was lost.
    """

    key: Path
    expires: str | None = None
    new_key: bool = False
    sequence: int | None = None


def publish(
    bundle: Path,
    folder: Path,
    signing: Signing,
    *,
    targets: Sequence[str] = (),
    variant: tuple[str, int] | None = None,
    terms: Terms = Terms(),
    unverified: bool = False,
) -> Models:
    """Add a bundle to the channel in `folder`, which is made if need be; returns the new document.

    The version is the manifest's. A version that is there already keeps its files for ever:
    publishing it again may add targets or a variant, change its terms, and ends its withdrawal.
    `targets` picks among the bundle's (default: all). Raises `SourceError` for artifacts that are not
    verified (unless `unverified`) or failed, and for files that differ from the manifest.
    """
    manifest = read_manifest(bundle)
    version = manifest["model"]["version"]
    models, contents = _models(bundle, manifest, targets, unverified)
    name, share = variant or (MAIN, BUCKETS)
    arm = Variant(name, share, models)

    def change(before: Models | None) -> Models:
        if before is None:
            release = terms.apply(Release(version, (arm,)))
            return Models(manifest["model"]["name"], 0, (_checked(release),))
        if before.name != manifest["model"]["name"]:
            raise UsageError(
                f"{folder} is the channel of {before.name!r}, not of {manifest['model']['name']!r}.",
                "Publish it to a channel of its own.",
            )
        known = next((r for r in before.releases if r.version == version), None)
        if known is None:
            release = terms.apply(Release(version, (arm,)))
            return replace(before, releases=(_checked(release), *before.releases))
        release = terms.apply(replace(_joined(known, arm), withdrawn=False))
        return _with(before, _checked(release))

    return _sign(folder, signing, change, contents)


def rollback(folder: Path, signing: Signing, version: str | None = None) -> Models:
    """Withdraw the newest release, or all that are newer than `version`, by a new document.

    Devices go to the newest release that is left for them; where none is, to the model inside the app.
    """

    def change(before: Models | None) -> Models:
        models = _existing(before, folder)
        if version is None:
            return _with(models, replace(_newest(models), withdrawn=True))
        models.release(version)  # raises where there is none
        place = [r.version for r in models.releases].index(version)
        releases = tuple(
            replace(r, withdrawn=True if i < place else r.withdrawn and i != place)
            for i, r in enumerate(models.releases)
        )
        return replace(models, releases=releases)

    return _sign(folder, signing, change)


def rollout(folder: Path, signing: Signing, buckets: int, version: str | None = None) -> Models:
    """Set how many of the 10000 buckets get a release: the newest unless `version` says another."""

    def change(before: Models | None) -> Models:
        models = _existing(before, folder)
        release = models.release(version) if version else _newest(models)
        return _with(models, replace(release, rollout=buckets))

    return _sign(folder, signing, change)


def _sign(
    folder: Path,
    signing: Signing,
    change: Callable[[Models | None], Models],
    contents: Mapping[str, Path] | None = None,
) -> Models:
    """Read what is there, if it is ours; change it; sign and write it unless nothing changed."""
    key = keys.load(signing.key)
    if signing.key.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"The private key {signing.key} lies inside the channel, which is for everyone to read.",
            "Move it out, and if the channel was ever served, make a new one.",
        )
    with channels.locked(folder):
        before, ours = None, keys.public_text(key)
        if (folder / channels.MODELS).exists():
            theirs = channels.public_key(folder)
            # Never sign on top of what somebody else changed.
            before = channels.read(folder, theirs)
            if theirs != ours and not signing.new_key:
                raise UsageError(
                    f"{folder} is signed by the key {theirs}, and {signing.key} is {ours}: "
                    "apps that trust only the other one would refuse it.",
                    "Give the channel's key, or --new-key if the apps know both.",
                )
        after = _dated(change(before), signing.expires)
        if before is None or after != before or theirs != ours or signing.sequence:
            after = replace(after, sequence=_sequence(before, signing.sequence))
        channels.write(folder, after, key, contents or {})
    return after


def _sequence(before: Models | None, asked: int | None) -> int:
    following = before.sequence + 1 if before else 1
    if asked is not None and asked < following:
        raise UsageError(
            f"The sequence number {asked} is not above {following - 1}: devices would refuse it.",
            f"Give --sequence {following} or more, or leave it out.",
        )
    return asked or following


def _dated(models: Models, expires: str | None) -> Models:
    dated = replace(models, expires=expires or models.expires)
    if dated.expires and dated.expires < datetime.now(timezone.utc).date().isoformat():
        raise UsageError(
            f"The document would have expired on {dated.expires}: devices would refuse it.",
            "Give --expires with a day to come.",
        )
    return dated


def _models(
    bundle: Path, manifest: Mapping[str, Any], targets: Sequence[str], unverified: bool
) -> tuple[dict[str, Model], dict[str, Path]]:
    """The bundle's models by target, and where the bytes of each digest are."""
    artifacts = {a["target"]: a for a in manifest["artifacts"]}
    if missing := [t for t in targets if t not in artifacts]:
        raise UsageError(
            f"The bundle has no {missing[0]} artifact.", f"It has {', '.join(artifacts) or 'none'}."
        )
    if not artifacts:
        raise SourceError(f"The bundle {bundle} has no artifacts.", "Build it again.")
    models: dict[str, Model] = {}
    contents: dict[str, Path] = {}
    for target in targets or artifacts:
        artifact = artifacts[target]
        _refuse(artifact, unverified)
        paths = [
            path
            for path in sorted([MANIFEST, *manifest["files"]])
            if any(
                path == part or path.startswith(f"{part}/") for part in (*_COMMON, artifact["file"])
            )
        ]
        listed = tuple(_file(bundle, path, manifest) for path in paths)
        contents |= {file.sha256: bundle / file.path for file in listed}
        models[target] = Model(
            artifact["file"], artifact["state"], interface(manifest), digest(listed), listed
        )
    return models, contents


def _refuse(artifact: Mapping[str, Any], unverified: bool) -> None:
    state, target = artifact["state"], artifact["target"]
    if state == "failed":
        raise SourceError(
            f"The {target} artifact failed its proof: it is wrong.",
            "Name the targets to publish with --targets.",
        )
    if state != "verified" and not unverified:
        why = "breaks a limit" if state == "regressed" else "was not verified"
        raise SourceError(
            f"The {target} artifact {why}.",
            "Name the targets to publish with --targets, or publish it all the same "
            "with --allow-unverified.",
        )


def _file(bundle: Path, path: str, manifest: Mapping[str, Any]) -> File:
    try:
        data = (bundle / path).read_bytes()
    except OSError as error:
        raise SourceError(
            f"{bundle / path} cannot be read: {error.strerror}.", "Build the bundle again."
        ) from error
    sha256 = hashlib.sha256(data).hexdigest()
    if path != MANIFEST and sha256 != manifest["files"][path]["sha256"]:
        raise SourceError(
            f"{bundle / path} is not what its manifest says it is.", "Build the bundle again."
        )
    return File(path, sha256, len(data))


def _joined(release: Release, arm: Variant) -> Release:
    """The release with one more variant, or with more targets in one it has."""
    known = next((v for v in release.variants if v.name == arm.name), None)
    if known is None:
        return replace(release, variants=(*release.variants, arm))
    for target, model in arm.targets.items():
        if target in known.targets and known.targets[target].digest != model.digest:
            raise UsageError(
                f"Version {release.version} of {target} was published with other files.",
                "Give the new one a new version in mlc.toml: devices tell them apart by it.",
            )
    joined = replace(known, share=arm.share, targets={**known.targets, **arm.targets})
    return replace(
        release, variants=tuple(joined if v.name == arm.name else v for v in release.variants)
    )


def _checked(release: Release) -> Release:
    total = sum(v.share for v in release.variants)
    if total > BUCKETS:
        shares = ", ".join(f"{v.name} {v.share / 100:g} %" for v in release.variants)
        raise UsageError(
            f"The variants of version {release.version} have more than all users: {shares}.",
            "Give smaller shares with --variant NAME=PERCENT.",
        )
    return release


def _with(models: Models, release: Release) -> Models:
    return replace(
        models,
        releases=tuple(release if r.version == release.version else r for r in models.releases),
    )


def _existing(models: Models | None, folder: Path) -> Models:
    if models is None:
        raise SourceError(
            f"{folder} is not a channel.", "Give the folder that `mlc publish` wrote."
        )
    return models


def _newest(models: Models) -> Release:
    for release in models.releases:
        if not release.withdrawn:
            return release
    raise UsageError("Every release of the channel is withdrawn already.", "Publish one.")
