"""What a device runs: pure rules, the same in every client; docs/channel_vectors.json tests them all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mlc.channel.document import BUCKETS, Model, Models, Release, Variant

__all__ = ["Choice", "Device", "at_least", "bucket", "choose"]


@dataclass(frozen=True)
class Device:
    """What the rules may ask. `interface` is that of the app's generated code; None takes any."""

    platform: str
    target: str
    app: str
    os: str
    user: str
    interface: str | None = None


@dataclass(frozen=True)
class Choice:
    """The model for a device, and of which release and variant it is."""

    version: str
    variant: str
    conditions: tuple[str, ...]
    model: Model


def bucket(channel: str, purpose: str, user: str) -> int:
    """Where a user stands, 0 to 9999: the same on every device, for ever.

    The first four bytes of SHA-256 over the UTF-8 of `channel:purpose:user`, big-endian, modulo 10000.
    `purpose` is `rollout` or `variant`, so that the first users of a rollout are not all of one variant.
    """
    sha = hashlib.sha256(f"{channel}:{purpose}:{user}".encode())
    return int.from_bytes(sha.digest()[:4], "big") % BUCKETS


def at_least(version: str, bound: str) -> bool:
    """Whether `version` is `bound` or newer, number by number: 10.0 is newer than 9.1, 1.2 equals 1.2.0.

    What follows the leading numbers and dots is ignored: `2.1-beta` is 2.1, and `beta` is 0.
    """
    ours, theirs = _numbers(version), _numbers(bound)
    length = max(len(ours), len(theirs))
    return _padded(ours, length) >= _padded(theirs, length)


def choose(models: Models, device: Device) -> Choice | None:
    """The first release that is for the device; None means the model inside the app.

    A release is for a device if it is not withdrawn; the app and OS are within its bounds; the user's
    rollout bucket is below `rollout`; and the variant of the user's variant bucket (shares laid end to
    end in the order of the document) has a model for the target, with the interface of the app.
    """
    for release in models.releases:
        variant = _variant(release, bucket(models.name, "variant", device.user))
        model = variant.targets.get(device.target) if variant else None
        if (
            variant
            and model
            and not release.withdrawn
            and _within(release, device)
            and bucket(models.name, "rollout", device.user) < release.rollout
            and device.interface in (None, model.interface)
        ):
            return Choice(release.version, variant.name, release.conditions, model)
    return None


def _within(release: Release, device: Device) -> bool:
    def bound(of: Mapping[str, str]) -> str | None:
        return of.get(device.platform)

    oldest, too_new, oldest_os = map(
        bound, (release.minimum_app, release.below_app, release.minimum_os)
    )
    return (
        (oldest is None or at_least(device.app, oldest))
        and (too_new is None or not at_least(device.app, too_new))
        and (oldest_os is None or at_least(device.os, oldest_os))
    )


def _variant(release: Release, place: int) -> Variant | None:
    for variant in release.variants:
        if place < variant.share:
            return variant
        place -= variant.share
    return None


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"[0-9.]*", version)
    return tuple(int(part or 0) for part in leading.group().split(".")) if leading else ()


def _padded(numbers: tuple[int, ...], length: int) -> tuple[int, ...]:
    return numbers + (0,) * (length - len(numbers))
