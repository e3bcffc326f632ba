"""Network → smaller network: the part of the pipeline that trains, where that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlc.config import BuildConfig
from mlc.convert.network import Network
from mlc.data.dataset import Dataset, open_data
from mlc.errors import TrainingStopped
from mlc.optimize.optimize import Request, Step, optimize
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import FLOAT32
from mlc.optimize.training.examples import collect
from mlc.optimize.training.record import Trained
from mlc.optimize.training.train import train
from mlc.prove import Subject, wait
from mlc.stages import Stages
from mlc.store import Stored
from mlc.validate.execute import Retrained, reference

__all__ = ["Taught", "teach"]


@dataclass(frozen=True)
class Taught:
    """A trained network, its own answers, the plan it was trained for, if any, and how it went."""

    network: Network
    retrained: Retrained
    plan: Plan | None
    steps: tuple[Step, ...]  # of the passes before
    training: tuple[Trained, ...]
    notes: tuple[str, ...]


def teach(stages: Stages, config: BuildConfig, subject: Subject) -> Taught:
    """Simplify the network, then every phase that was asked for, each on what the one before left.

    Each is remembered by itself; one that was interrupted, which raises `TrainingStopped`, goes on after
    its last whole epoch.
    """
    training, source = config.training, config.training.train_data or config.data.data or ""
    dataset = open_data(source, subject.network, training.train_samples)
    simplified = _simplified(stages, subject)
    network = original = Network.load(simplified.folder)
    samples = wait(
        stages.run(
            "read the training data",
            _known(dataset, original.digest),
            collect,
            dataset,
            original,
        ),
        "reading the training data",
    ).folder
    records, plan = [], None
    recipe, limit = config.recipe, config.data.calibration_samples
    for phase in training.phases(recipe, config.data.ranges, limit):
        known = _known(dataset, network.digest, original.digest, phase, training.epochs)
        future = stages.resume(
            phase.title, known, train, network, original, phase, training.epochs, samples,
            dataset.title,
        )  # fmt: skip
        try:
            stored = wait(future, phase.title)
        except KeyboardInterrupt:
            if known is None:
                raise
            raise TrainingStopped(
                "Interrupted.", "The same command goes on after the last whole epoch."
            ) from None
        record, plan = stored.value
        records.append(record)
        network = Network.load(stored.folder)
    answers = wait(
        stages.run(
            "run the trained network",
            _known(subject.dataset, network.digest),
            reference,
            network,
            subject.dataset,
            0,
        ),
        "running the trained network",
    ).folder
    return Taught(
        network,
        Retrained(network.digest, answers),
        plan,
        simplified.value[1],
        tuple(records),
        _notes(config, dataset),
    )


def _simplified(stages: Stages, subject: Subject) -> Stored:
    request = Request(FLOAT32)
    known = (subject.network.digest, request)
    future = stages.run("simplify", known, optimize, subject.network, request)
    return wait(future, "simplifying the network")


def _known(dataset: Dataset, *parts: object) -> tuple[object, ...] | None:
    return None if dataset.fingerprint is None else (dataset.fingerprint, *parts)


def _notes(config: BuildConfig, learned: Dataset) -> tuple[str, ...]:
    given, compared = config.training.train_data, config.data.data
    if given and (not compared or Path(given).resolve() != Path(compared).resolve()):
        return ()
    return (
        f"The network was trained on the data that it is compared on ({learned.title}): agreement and "
        "accuracy are those of samples it has seen. Give others with --train-data.",
    )
