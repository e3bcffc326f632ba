"""Proof without a build: artifacts that exist already, ours or not, against their source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from mlc import targets
from mlc.bundle.manifest import MANIFEST, read_manifest
from mlc.config import BuildConfig
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
    for entry in read_manifest(path)["artifacts"]:
        file = path / entry["file"]
        if not file.exists() or tree_digest(file) != entry["sha256"]:
            raise SourceError(
                f"{file} is not the file that {MANIFEST} describes.", "Build the bundle again."
            )
        emission = Emission(
            file, cast(Precision, entry["weights"]), cast(Precision, entry["activations"])
        )
        candidates.append(Candidate(entry["target"], emission, entry["sha256"]))
    return candidates
