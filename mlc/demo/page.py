"""Build the page of web_demo/ with Node, once for each state of its sources."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mlc
from mlc.bundle.manifest import MANIFEST, read_manifest
from mlc.errors import MachineError, SourceError, UnverifiableError, UsageError, first_line
from mlc.node import find_node, packages
from mlc.store import cache_folder

__all__ = ["BUNDLE", "CHANNEL", "WEB", "build_page", "check_bundle", "write_site"]

WEB = ("tfjs", "onnx", "tflite")  # what browsers run
BUNDLE = "bundle"  # where the page looks for one
CHANNEL = "channel.json"  # and for the channel of its updates

_HERE = Path(mlc.__file__).parent
_BINDINGS = _HERE / "bindings" / "typescript"
_SECONDS = 300


def build_page() -> Path:
    """The folder of the built page, in the cache; built where its sources have changed.

    Raises `MachineError` where Node or the packages cannot be had, or the page does not build.
    """
    source = _source()
    pages = cache_folder() / "web_demo"
    page = pages / _digest(source)
    if page.is_dir():
        return page
    try:
        node = find_node()
        installed = packages(node, source)
    except UnverifiableError as error:
        raise MachineError(error.message, error.hint) from error
    pages.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=pages, prefix="building-") as aside:
        whole = Path(aside) / "whole"
        command = [node.node, str(source / "build.mjs"), str(whole), str(_BINDINGS)]
        done = subprocess.run(
            command, cwd=installed, capture_output=True, text=True, timeout=_SECONDS
        )
        if done.returncode != 0:
            raise MachineError(
                f"The page does not build: {first_line(RuntimeError(done.stderr))}",
                f"Its sources are in {source}.",
            )
        try:
            whole.rename(page)
        except OSError:
            if not page.is_dir():  # else another process was faster
                raise
    return page


def check_bundle(bundle: Path) -> None:
    """Raises `SourceError` where that is no bundle, `UsageError` where browsers run nothing of it."""
    if not bundle.is_dir():
        raise SourceError(f"{bundle} is no folder.", "Give one that mlc build wrote.")
    artifacts = read_manifest(bundle)["artifacts"]
    if not any(a["target"] in WEB and a["state"] != "failed" for a in artifacts):
        raise UsageError(
            f"{bundle} has no artifact that browsers run.",
            f"Build it with --targets {','.join(WEB)}.",
        )


def write_site(bundle: Path, site: Path, channel: str | None = None, key: str = "") -> None:
    """Write the page with a bundle inside as a folder for any static host.

    It looks for newer models in the update channel at that URL, signed with the private key of `key`.
    Raises `UsageError` where `site` exists and holds something.
    """
    check_bundle(bundle)
    if site.exists() and not (site.is_dir() and not any(site.iterdir())):
        raise UsageError(f"The folder {site} is not empty.", "Give a new one with -o.")
    page = build_page()
    site.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=site.parent, prefix=f".{site.name}-") as aside:
        whole = Path(aside) / "whole"
        shutil.copytree(page, whole)
        for file in _web_files(bundle):
            copy = whole / BUNDLE / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle / file, copy)
        if channel:
            name = read_manifest(bundle)["model"]["name"]
            config = {"url": channel, "name": name, "keys": [key]}
            (whole / CHANNEL).write_text(json.dumps(config, indent=1), encoding="utf-8")
        if site.exists():
            site.rmdir()
        whole.rename(site)


def _web_files(bundle: Path) -> Iterator[str]:
    """What the page reads of a bundle: manifest, golden cases, and the artifacts that browsers run."""
    manifest = read_manifest(bundle)
    own = [a["file"] for a in manifest["artifacts"] if a["target"] in WEB]
    yield MANIFEST
    for file in manifest["files"]:
        if file.startswith("golden/") or any(file == o or file.startswith(f"{o}/") for o in own):
            yield file


def _source() -> Path:
    """The sources: inside an installed mlc, or beside it in a checkout."""
    for source in (_HERE / "web_demo", _HERE.parent / "web_demo"):
        if (source / "build.mjs").is_file():
            return source
    raise MachineError("This mlc was installed without its web_demo folder.", "Install it again.")


def _digest(source: Path) -> str:
    sha = hashlib.sha256()
    for root in (source, _BINDINGS):
        for file in sorted(p for p in root.rglob("*") if p.is_file()):
            path = file.relative_to(root)
            if path.parts[0] not in {"node_modules", "dist"}:
                sha.update(path.as_posix().encode() + b"\0" + file.read_bytes())
    return sha.hexdigest()[:16]
