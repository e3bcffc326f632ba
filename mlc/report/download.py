"""What an app's download grows by with an artifact in it, and what helps where that is much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlc.validate.size import Size

__all__ = ["Download", "downloads"]

# App Store: above this the phone asks before it downloads an app over a cellular network. Google Play:
# the most that the base module of an app bundle may weigh as a compressed download.
STORE_LIMIT = 200 * 10**6
_LARGE = 0.1  # of the limit: worth a thought
_SLOW_PAGE = 5 * 10**6  # bytes that take more than 5 seconds at 8 Mbit/s

_PLATFORMS: Mapping[str, tuple[str, ...]] = {
    "coreml": ("iOS",),
    "tflite": ("Android", "web"),
    "onnx": ("web",),
    "tfjs": ("web",),
}
_LATER = {
    "iOS": "fetch it after the installation: as an on-demand resource, or from a channel (mlc publish)",
    "Android": "deliver it as an asset pack (Play Asset Delivery), or from a channel (mlc publish)",
}


@dataclass(frozen=True)
class Download:
    """One artifact on one platform.

    `bytes` is what the download grows by, `installed` what the device then stores; `packed` says how it
    was compressed to know. `hint` is advice in a sentence, or empty.
    """

    platform: str
    target: str
    bytes: int
    installed: int
    packed: str
    hint: str


def downloads(sizes: Iterable[tuple[str, Size]]) -> tuple[Download, ...]:
    """For each target and the size of its artifact, every platform that it is made for.

    Stores pack apps as zip archives, whose compression is gzip's; web servers send brotli or gzip.
    """
    found = []
    for target, size in sizes:
        for platform in _PLATFORMS[target]:
            web = platform == "web"
            count = min(size.brotli, size.gzip) if web else size.gzip
            hint = _web_hint(count) if web else _store_hint(platform, count)
            packed = "brotli" if web and size.brotli < size.gzip else "gzip" if web else "zip"
            found.append(Download(platform, target, count, size.raw, packed, hint))
    return tuple(found)


def _store_hint(platform: str, count: int) -> str:
    share = count / STORE_LIMIT
    if share < _LARGE:
        return ""
    limit = (
        "the 200 MB above which the App Store asks before a cellular download"
        if platform == "iOS"
        else "the 200 MB that Play allows the base module of an app"
    )
    return f"It is {share:.0%} of {limit}: {_LATER[platform]}."


def _web_hint(count: int) -> str:
    if count < _SLOW_PAGE:
        return ""
    seconds = count * 8 / 8e6
    return f"At 8 Mbit/s it takes {seconds:.0f} s: load it after the page is shown, and cache it."
