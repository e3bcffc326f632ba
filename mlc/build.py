"""The pipeline: source → network → targets → evidence → bundle."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlc import targets
from mlc.bundle.write import Bundle
from mlc.config import BuildConfig
from mlc.convert.network import Network
from mlc.data.dataset import Calibration, open_data
from mlc.data.synthesized import synthesize
from mlc.optimize.optimize import Optimized, Request, optimize
from mlc.optimize.plan import Plan, read_plan
from mlc.prove import Candidate, Subject, open_stages, prove_all, read_subject, wait
from mlc.report.report import Report, Row
from mlc.stages import Silent, Stages, Watcher
from mlc.store import tree_digest
from mlc.targets.target import Emission, Options
from mlc.teach import Taught, teach
from mlc.validate import golden
from mlc.validate.evidence import Evidence
from mlc.workers import explain

__all__ = ["build"]

_EXPLAINED_ON = 4  # samples, for --explain


def build(config: BuildConfig, model: Any = None, watcher: Watcher | None = None) -> Report:
    """Compile `config.source`, or the live Keras `model`, prove every artifact, write the bundle.

    A target that fails becomes a row of the report; only what spoils all of them is raised.
    """
    with (
        Bundle(config.output) as bundle,
        open_stages(config, bundle.log, watcher or Silent(), model) as stages,
    ):
        subject = read_subject(stages, config, model)
        taught = teach(stages, config, subject) if config.training.asked else None
        samples = _calibration(config, subject)
        optimized = _optimize(stages, config, subject, taught, samples)
        candidates = _emit_all(stages, config, optimized, samples or _trial(config, subject))
        retrained = taught.retrained if taught else None
        rows = prove_all(stages, subject, candidates, config.limits, retrained)
        report = Report(
            network=subject.network,
            source_bytes=subject.source_bytes,
            recipe=config.recipe.name,
            data=subject.dataset.title,
            labelled=subject.dataset.labelled,
            rows=tuple(sorted(rows, key=lambda row: targets.NAMES.index(row.target))),
            notes=(*subject.notes, *(taught.notes if taught else ())),
            bundle=str(config.output),
            steps=optimized.steps,
            training=taught.training if taught else (),
        )
        artifacts = {row.target: row.emission.path for row in rows if row.emission}
        cases = subject.references / golden.FOLDER
        return bundle.write(report, artifacts, optimized.plan, cases, config.bindings)


def _optimize(
    stages: Stages,
    config: BuildConfig,
    subject: Subject,
    taught: Taught | None,
    samples: Calibration | None,
) -> Optimized:
    """Fewer ops, the same answers; and the plan that every target follows."""
    network = taught.network if taught else subject.network
    explained = Calibration(subject.dataset, network, _EXPLAINED_ON) if config.explain else None
    request = Request(
        recipe=config.recipe,
        estimator=config.data.ranges,
        plan=taught.plan if taught else read_plan(config.plan) if config.plan else None,
        clustered=bool(config.training.cluster),
    )
    seen = [c.dataset.fingerprint if c else "nothing" for c in (samples, explained)]
    future = stages.run(
        "optimize",
        (network.digest, request, seen) if None not in seen else None,
        optimize,
        network,
        replace(request, samples=samples, explain_on=explained),
    )
    stored = wait(future, "optimizing the network")
    plan, steps = stored.value
    before = taught.steps if taught else ()  # what was simplified before it was trained
    return Optimized(Network.load(stored.folder), plan, (*before, *steps))


def _emit_all(
    stages: Stages, config: BuildConfig, optimized: Optimized, samples: Calibration | None
) -> Iterator[Candidate | Row]:
    """Every target at the same time, each as soon as it is there; failures cost nobody else anything."""
    fingerprint = samples.dataset.fingerprint if samples else "none"
    known = fingerprint is not None
    network, plan, options = optimized.network, optimized.plan, config.options
    running = {
        stages.run(
            f"emit {targets.title(name)}",
            (network.digest, plan, options, name, fingerprint) if known else None,
            emit,
            name,
            network,
            plan,
            samples,
            options,
        ): name
        for name in config.targets
    }
    for future in as_completed(running):
        name = running[future]
        if error := future.exception():
            why = str(explain(error, f"emitting {targets.title(name)}"))
            yield Row(name, "failed", evidence=Evidence(failure=why))
        else:
            stored = future.result()
            emission = stored.value.at(stored.folder)
            yield Candidate(name, emission, tree_digest(emission.path))


def _calibration(config: BuildConfig, subject: Subject) -> Calibration | None:
    """Samples to find the ranges of activations with; None where nobody gave data."""
    if not config.recipe.learns_from_samples:
        return None
    limit = config.data.calibration_samples
    if config.data.calibration:
        dataset = open_data(config.data.calibration, subject.network, limit)
    elif config.data.data:
        dataset = open_data(config.data.data, subject.network, limit)
    elif config.data.synthesize_calibration:
        dataset = synthesize(subject.network, limit, config.data.input_range)
    else:
        return None
    return Calibration(dataset, subject.network, limit)


def _trial(config: BuildConfig, subject: Subject) -> Calibration | None:
    """Samples that a float16 artifact is tried out on while it is emitted; None where there is none."""
    recipe = config.recipe
    if recipe.weights == "float32" or recipe.integer_activations:
        return None
    limit, given = config.data.calibration_samples, config.data.calibration
    dataset = open_data(given, subject.network, limit) if given else subject.dataset
    return Calibration(dataset, subject.network, limit)


def emit(
    folder: Path,
    name: str,
    network: Network,
    plan: Plan,
    samples: Calibration | None,
    options: Options,
) -> Emission:
    """A stage: let one target write its artifact into `folder`."""
    target = targets.target(name)
    path = folder / f"{network.description.name}{target.SUFFIX}"
    return target.emit(network, plan, samples, options, path)
