"""Proof without a build: artifacts that exist already, ours or not, against their source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from mlc import targets
from mlc.bundle.manifest import MANIFEST, read_manifest
from mlc.config import BuildConfig
from mlc.convert.preprocessing import Preprocessing
from mlc.errors import SourceError
from mlc.optimize.recipe import Precision
from mlc.prove import Candidate, open_stages, prove_all, read_subject
from mlc.report.report import Report
from mlc.stages import Silent, Watcher
from mlc.store import tree_digest
from mlc.targets.target import Emission
from mlc.validate.gate import Limits

__all__ = ["validate"]


def validate(artifact: Path, config: BuildConfig, watcher: Watcher | None = None) -> Report:
    """Compare one artifact, or every artifact of a bundle, with `config.source`.

    Raises `SourceError` for what is no artifact, and for a bundle whose files were changed.
    """
    candidates = find_candidates(artifact)
    if (artifact / MANIFEST).is_file():
        config = _as_built(config, read_manifest(artifact))
    limits = {c.target: config.limits.get(c.target, Limits()) for c in candidates}
    with TemporaryDirectory(prefix="mlc-") as folder:
        log = Path(folder) / "validate.log"
        log.touch()
        with open_stages(config, log, watcher or Silent()) as stages:
            subject = read_subject(stages, config)
            rows = prove_all(stages, subject, candidates, limits)
    return Report(
        network=subject.network,
        source_bytes=subject.source_bytes,
        recipe="",
        data=subject.dataset.title,
        labelled=subject.dataset.labelled,
        rows=tuple(
            replace(row, file=str(c.emission.path)) for row, c in zip(rows, candidates, strict=True)
        ),
        notes=subject.notes,
    )


def _as_built(config: BuildConfig, manifest: dict[str, Any]) -> BuildConfig:
    """What the bundle declares of pictures and labels holds, unless the user says otherwise."""
    declared = manifest["preprocessing"]
    return replace(
        config,
        preprocessing=config.preprocessing or (declared and Preprocessing.from_json(declared)),
        labels=config.labels or tuple(manifest["labels"]),
    )


def find_candidates(path: Path) -> list[Candidate]:
    """The artifact at `path`, or all that the manifest of a bundle lists, their digests checked."""
    if not path.exists():
        raise SourceError(f"{path} does not exist.", "Give an artifact or a bundle folder.")
    if not (path / MANIFEST).is_file():
        name = targets.recognise(path)
        weights = targets.target(name).inspect(path).weights
        emission = Emission(path, weights, weights)
        return [Candidate(name, emission, tree_digest(path))]
    candidates = []
    manifest = read_manifest(path)
    for name, entry in manifest["files"].items():
        _check(path / name, entry["sha256"])
    for entry in manifest["artifacts"]:
        file = path / entry["file"]
        _check(file, entry["sha256"])  # of a folder also that no file came in
        emission = Emission(
            file, cast(Precision, entry["weights"]), cast(Precision, entry["activations"])
        )
        candidates.append(Candidate(entry["target"], emission, entry["sha256"]))
    return candidates


def _check(file: Path, sha256: str) -> None:
    if not file.exists():
        raise SourceError(f"{file}, which {MANIFEST} lists, is missing.", "Build the bundle again.")
    if tree_digest(file) != sha256:
        raise SourceError(
            f"{file} is not the file that {MANIFEST} describes: it was changed.",
            "Build the bundle again.",
        )
