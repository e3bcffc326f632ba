"""Proof without a build: artifacts that exist already, ours or not, against their source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from mlc import targets
from mlc.bundle.manifest import MANIFEST, read_manifest
from mlc.config import BuildConfig
from mlc.convert.metadata import facts
from mlc.convert.network import Description, Network, Provenance
from mlc.convert.preprocessing import Preprocessing
from mlc.errors import SourceError
from mlc.optimize.recipe import Precision
from mlc.prove import Candidate, open_stages, prove_all, read_subject
from mlc.report.report import Report, Row
from mlc.stages import Silent, Watcher
from mlc.store import tree_digest
from mlc.targets.target import Emission
from mlc.validate.declared import check_declared
from mlc.validate.evidence import Check
from mlc.validate.execute import Retrained
from mlc.validate.gate import Limits

__all__ = ["validate"]


def validate(artifact: Path, config: BuildConfig, watcher: Watcher | None = None) -> Report:
    """Compare one artifact, or every artifact of a bundle, with `config.source`.

    Raises `SourceError` for what is no artifact, and for a bundle whose files were changed.
    """
    candidates = find_candidates(artifact)
    declared: dict[str, Any] | None = None
    retrained: Retrained | None = None
    if (artifact / MANIFEST).is_file():
        manifest = read_manifest(artifact)
        config = _as_built(config, manifest)
        declared = _declared(manifest)
        if manifest.get("training"):
            retrained = Retrained(digest="", references=None)
    limits = {c.target: config.limits.get(c.target, Limits()) for c in candidates}
    with TemporaryDirectory(prefix="mlc-") as folder:
        log = Path(folder) / "validate.log"
        log.touch()
        with open_stages(config, log, watcher or Silent()) as stages:
            subject = read_subject(stages, config)
            rows = prove_all(stages, subject, candidates, limits, retrained)
    return Report(
        network=subject.network,
        source_bytes=subject.source_bytes,
        recipe="",
        data=subject.dataset.title,
        labelled=subject.dataset.labelled,
        rows=tuple(
            _with_metadata(replace(row, file=str(c.emission.path)), declared, subject.network)
            for row, c in zip(rows, candidates, strict=True)
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


def _declared(manifest: dict[str, Any]) -> dict[str, Any]:
    preprocessing = manifest["preprocessing"]
    return facts(
        Description(**manifest["model"]),
        Provenance(**manifest["source"]),
        tuple(manifest["labels"]),
        Preprocessing.from_json(preprocessing) if preprocessing else None,
        manifest["mlc"],
    )


def _with_metadata(row: Row, declared: dict[str, Any] | None, network: Network) -> Row:
    """The row with one check more: whether the artifact says of itself what its bundle declared."""
    try:
        statements = targets.target(row.target).declares(Path(row.file))
    except SourceError as error:
        checks: tuple[Check, ...] = (Check("metadata", "failed", error.message),)
    else:
        checks = check_declared(statements, declared, network)
    failed = any(check.state == "failed" for check in checks)
    evidence = replace(row.evidence, checks=(*row.evidence.checks, *checks))
    return replace(row, evidence=evidence, level="failed" if failed else row.level)


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
