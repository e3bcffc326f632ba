"""What is in a file: any source or artifact, without running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlc import targets
from mlc.bundle.manifest import MANIFEST, read_manifest
from mlc.convert.network import Description, Network
from mlc.convert.read import ReadOptions, look, read
from mlc.errors import SourceError
from mlc.targets.target import Summary
from mlc.validate.size import Size, measure
from mlc.workers import Workers, explain

__all__ = ["BundleInspection", "Inspection", "inspect", "inspect_bundle"]


@dataclass(frozen=True)
class Inspection:
    """A summary and what the file weighs."""

    path: Path
    summary: Summary
    size: Size


@dataclass(frozen=True)
class BundleInspection:
    """The manifest of a bundle, and the size of each usable artifact by target."""

    manifest: Mapping[str, Any]
    sizes: Mapping[str, Size]


def inspect_bundle(path: Path) -> BundleInspection | None:
    """Look into a bundle; None where the folder is none. Raises `SourceError` for a damaged one."""
    if not (path / MANIFEST).is_file():
        return None
    manifest = read_manifest(path)
    usable = [a for a in manifest["artifacts"] if a["state"] != "failed"]
    return BundleInspection(manifest, {a["target"]: measure(path / a["file"]) for a in usable})


def inspect(path: Path, options: ReadOptions | None = None) -> Inspection:
    """Look into a source or an artifact; raises `SourceError` for anything else.

    A source is frozen to count its ops, in a worker process, as a build would.
    """
    if not path.exists():
        raise SourceError(f"{path} does not exist.", "Check the path.")
    try:
        name = targets.recognise(path)
    except SourceError:
        return Inspection(path, _source(path, options or ReadOptions()), measure(path))
    return Inspection(path, targets.target(name).inspect(path), measure(path))


def _source(path: Path, options: ReadOptions) -> Summary:
    look(path, options)
    with TemporaryDirectory(prefix="mlc-") as folder, Workers(Path(folder) / "log") as workers:
        future = workers.submit(summarise, path, options)
        if error := future.exception():
            raise explain(error, f"reading {path}", "--debug shows more.")
        summary: Summary = future.result()
        return summary


def summarise(path: Path, options: ReadOptions) -> Summary:
    """In a worker: read the source and count the ops of its frozen graph."""
    network = read(path, Description(path.stem), options)
    return Summary(
        format=network.provenance.kind,
        inputs=network.inputs,
        outputs=network.outputs,
        ops=_ops(network),
        parameters=network.parameters,
        weights="float32",
        metadata={"sha256": network.provenance.sha256},
    )


def _ops(network: Network) -> dict[str, int]:
    hidden = ("Const", "Identity", "Placeholder")
    counts = Counter(node.op for node in network.nodes() if node.op not in hidden)
    return dict(counts.most_common())
