"""Source and artifacts → evidence: the part of the pipeline that `build` and `validate` share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlc import targets
from mlc.config import BuildConfig
from mlc.convert.labels import check_labels
from mlc.convert.network import Description, Network
from mlc.convert.pictures import check_preprocessing, takes_picture
from mlc.convert.read import ReadOptions, from_model, look, read
from mlc.convert.source import identify
from mlc.data.dataset import Dataset, open_data
from mlc.data.synthesized import synthesize
from mlc.report.report import Level, Row
from mlc.stages import Stages, Watcher
from mlc.store import Store, Stored, cache_folder, tree_digest
from mlc.targets.target import Emission
from mlc.validate import gate
from mlc.validate.evidence import Evidence, Latency
from mlc.validate.execute import Proof, Retrained, prove, reference, time_runs
from mlc.validate.gate import Limits
from mlc.validate.size import measure, weigh
from mlc.workers import Workers, explain, processes_for

__all__ = ["Candidate", "Subject", "open_stages", "prove_all", "read_subject", "wait"]

_MADE_UP = (
    16  # inputs where there are no data: enough to see any wrong op, few enough for every build
)


@dataclass(frozen=True)
class Subject:
    """What artifacts are compared with: the network, the samples, and its own outputs on them.

    These are being recorded while artifacts are made. `golden` is how many golden cases were asked for.
    """

    network: Network
    dataset: Dataset
    recording: Future[Stored]
    golden: int
    source_bytes: int
    notes: tuple[str, ...]

    @property
    def references(self) -> Path:
        """The folder of the recorded outputs; waits for them. Raises what went wrong with them."""
        return wait(self.recording, "running the original").folder


@dataclass(frozen=True)
class Candidate:
    """An artifact on disk, and what it claims to be."""

    target: str
    emission: Emission
    sha256: str


@contextmanager
def open_stages(
    config: BuildConfig, log: Path, watcher: Watcher, model: Any = None
) -> Iterator[Stages]:
    """Stages over the user's cache, or over a folder that is gone afterwards with --no-cache."""
    weights = getattr(model, "weights", ())
    size = weigh(config.source) if model is None else sum(4 * math.prod(w.shape) for w in weights)
    with TemporaryDirectory(prefix="mlc-") as temporary:
        root = cache_folder() / "stages" if config.cache else Path(temporary)
        with Stages(Store(root), Workers(log, processes_for(size)), watcher) as stages:
            yield stages


def wait(future: Future[Stored], doing: str) -> Stored:
    """The result of a stage that all depends on; raises what went wrong, as one sentence."""
    if error := future.exception():
        # Where there is no bundle, there is no build.log.
        raise explain(error, doing, "--debug shows more.") from error
    return future.result()


def read_subject(stages: Stages, config: BuildConfig, model: Any = None) -> Subject:
    """Read the source, open the data, and start to run the network on them."""
    if model is None:
        network = _read(stages, config)
        size = weigh(config.source)
    else:
        network = from_model(model, config.description, config.read)
        size = len(network.graph)
    network = network.described(preprocessing=config.preprocessing, labels=config.labels)
    check_labels(network)
    check_preprocessing(network)
    if config.data.data:
        dataset = open_data(config.data.data, network, config.data.samples)
    else:
        dataset = synthesize(network, _MADE_UP, config.data.input_range)
    known = dataset.fingerprint is not None
    recording = stages.run(
        "run the original",
        (network.digest, dataset.fingerprint, config.data.golden) if known else None,
        reference,
        network,
        dataset,
        config.data.golden,
    )
    notes = (*network.notes, *_doubts(network, config))
    return Subject(network, dataset, recording, config.data.golden, size, notes)


def _read(stages: Stages, config: BuildConfig) -> Network:
    if not config.source.is_file():
        identify(config.source)  # before a folder of anything is read to its end
    known = (tree_digest(config.source), config.source.name, config.description, config.read)
    if not stages.knows(known, read_source):
        look(config.source, config.read)  # a wrong file is told before TensorFlow is loaded
    own_code = config.read.custom_objects is not None  # which may change without a trace
    stored = stages.run(
        "read the source",
        None if own_code else known,
        read_source,
        config.source,
        config.description,
        config.read,
    )
    return Network.load(wait(stored, "reading the source").folder)


def _doubts(network: Network, config: BuildConfig) -> tuple[str, ...]:
    """What a person should know before believing the numbers."""
    pictures = any(map(takes_picture, network.inputs))
    folder = config.data.data is not None and Path(config.data.data).is_dir()
    if pictures and folder and config.preprocessing is None:
        return (
            "No preprocessing is declared: pixels are fed as 0…255. If the network was trained on scaled "
            "pixels, say so with --input-scale, --input-mean and --input-std or in mlc.toml.",
        )
    return ()


def prove_all(
    stages: Stages,
    subject: Subject,
    candidates: Iterable[Candidate | Row],
    limits: Mapping[str, Limits],
    retrained: Retrained | None = None,
) -> list[Row]:
    """Run every artifact on every sample, time those that can be timed, and hold them to the limits.

    Each is run as soon as `candidates` yields it. A target of which there is only a row keeps that row.
    """
    network, dataset = subject.network, subject.dataset
    same = (network.digest, dataset.fingerprint, subject.golden, retrained)
    known = same if dataset.fingerprint is not None else None
    rows: list[Row] = []
    running: dict[Future[Stored], Candidate] = {}
    for candidate in candidates:
        if isinstance(candidate, Row):
            rows.append(candidate)
            continue
        claim = (candidate.sha256, candidate.emission.weights, candidate.emission.activations)
        proof = stages.run(
            f"prove {targets.title(candidate.target)}",
            (*known, *claim) if known else None,
            prove,
            candidate.target,
            candidate.emission,
            network,
            dataset,
            subject.references,
            retrained,
        )
        running[proof] = candidate
    proofs: dict[Candidate, Proof] = {}
    for future in as_completed(running):
        candidate = running[future]
        if error := future.exception():
            why = str(explain(error, f"running {targets.title(candidate.target)}"))
            size = measure(candidate.emission.path)
            proofs[candidate] = Proof(Evidence(failure=why), size, timed=False)
        else:
            proofs[candidate] = future.result().value
    proven = list(running.values())
    times = _times(stages, subject, [c for c in proven if proofs[c].timed])
    mutual = _mutual({c.target: proofs[c].answers for c in proven})
    return rows + [
        _row(c, proofs[c], times.get(c.target), mutual[c.target], limits[c.target]) for c in proven
    ]


def _mutual(answers: Mapping[str, Sequence[int]]) -> dict[str, dict[str, float]]:
    """How often each pair of artifacts gives the same answer; of those that were run and classify."""

    def agreement(one: Sequence[int], other: Sequence[int]) -> float:
        return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)

    return {
        target: {
            other: agreement(own, theirs)
            for other, theirs in answers.items()
            if own and theirs and other != target
        }
        for target, own in answers.items()
    }


def _times(
    stages: Stages, subject: Subject, candidates: Sequence[Candidate]
) -> Mapping[str, Latency]:
    """Latencies by target; empty where timing itself failed: it proves nothing else."""
    if not candidates:
        return {}
    network, dataset = subject.network, subject.dataset
    candidates = sorted(candidates, key=lambda c: c.target)  # whichever was there first
    digests = tuple(c.sha256 for c in candidates)
    known = dataset.fingerprint is not None
    future = stages.run(
        "measure latency",
        (network.digest, dataset.fingerprint, digests) if known else None,
        time_runs,
        network,
        dataset,
        {c.target: c.emission.path for c in candidates},
    )
    times: Mapping[str, Latency] = {} if future.exception() else future.result().value
    return times


def _row(
    candidate: Candidate,
    proof: Proof,
    latency: Latency | None,
    mutual: Mapping[str, float],
    limits: Limits,
) -> Row:
    checks = (*proof.evidence.checks, *gate.check(limits, proof.evidence, proof.size.raw))
    native = proof.evidence.native
    if native and native.parity:
        held = gate.check(replace(limits, max_size=None), native, proof.size.raw)
        native = replace(native, checks=(*native.checks, *held))
    evidence = replace(proof.evidence, checks=checks, latency=latency, mutual=mutual, native=native)
    return Row(
        candidate.target,
        _level(evidence),
        candidate.emission,
        proof.size,
        candidate.sha256,
        evidence,
    )


def _level(evidence: Evidence) -> Level:
    runs = [evidence, *([evidence.native] if evidence.native else [])]
    states = {check.state for run in runs for check in run.checks}
    if any(run.failure for run in runs) or "failed" in states:
        return "failed"
    if "regressed" in states:
        return "regressed"
    return "emitted" if evidence.reason or "not verified" in states else "verified"


def read_source(folder: Path, source: Path, description: Description, options: ReadOptions) -> None:
    """A stage: the source as a network in `folder`."""
    read(source, description, options).save(folder)
