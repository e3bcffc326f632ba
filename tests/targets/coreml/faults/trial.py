"""Plant a fault, let mlc judge, and ask the second executor what the fault really did."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mlc.errors import MlcError
from mlc.targets.coreml.evaluator import weights
from mlc.targets.target import Emission
from mlc.validate import judge
from mlc.validate.compare import recorded
from mlc.validate.execute import prove
from tests.targets.coreml import second_opinion
from tests.targets.coreml.faults.catalogue import Fault
from tests.targets.coreml.faults.saved import NotHereError, Saved
from tests.targets.coreml.faults.subjects import Subject

__all__ = ["Effect", "Patient", "Trial"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Effect:
    """How far outputs are from the network's: of their span, in dB, and the share of equal answers."""

    relative: float
    sqnr_db: float
    agreement: float

    @classmethod
    def of(cls, found: Sequence[Array], wanted: Sequence[Array]) -> Effect:
        y, reference = np.stack(found).astype(np.float64), np.stack(wanted).astype(np.float64)
        if not np.isfinite(y).all():
            return cls(np.inf, -np.inf, 0.0)
        noise = float(((y - reference) ** 2).sum())
        classes = reference.reshape(len(y), -1).argmax(1), y.reshape(len(y), -1).argmax(1)
        return cls(
            float(np.abs(y - reference).max() / np.ptp(reference)),
            10 * np.log10(float((reference**2).sum()) / noise) if noise else np.inf,
            float((classes[0] == classes[1]).mean()),
        )

    def beyond(self, emission: Emission, slack: float) -> bool:
        """Whether this is more than mlc tolerates; `slack` above 1 asks whether it clearly is."""
        if emission.precision == "float32":
            return self.relative > judge.FLOAT32_TOLERANCE * slack
        least = judge.least_sqnr(emission.weights, emission.activations) - 20 * np.log10(slack)
        return bool(self.sqnr_db < least or self.agreement < judge.COLLAPSED_AGREEMENT / slack)

    def __str__(self) -> str:
        return f"{self.relative:.1e}, {self.sqnr_db:.0f} dB"


@dataclass(frozen=True)
class Trial:
    """What became of one fault in one package.

    `effect` is what the second executor computes, None where either refuses the program. `verdict` is
    that of mlc: `passed`, `failed`, or `refused` (not verified, with the reason). `unseen` says why the
    data may not show the fault; only the healthy package was asked. `weights_db` is the SQNR of the
    worst weight against the package before compression, if there is one.
    """

    fault: str
    effect: Effect | None
    verdict: str
    detail: str
    unseen: str
    weights_db: float | None = None


class Patient:
    """A subject, with what its healthy program computes."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self.subject = subject
        self._folder = folder
        (name,) = (s.name for s in subject.network.outputs)
        self._wanted = [row[name][0] for row in recorded(subject.references)]

    @cached_property
    def values(self) -> dict[str, Array]:
        """Every value of the healthy program, inputs included, by name: samples first."""
        found: dict[str, list[Array]] = {}
        path = self.subject.emission.path
        second_opinion.run(
            path,
            self.subject.feeds,
            tap=lambda name, value: found.setdefault(name, []).append(value),
        )
        for feed in self.subject.feeds:
            for name, array in feed.items():
                found.setdefault(name, []).append(array)
        return {name: np.stack(rows) for name, rows in found.items()}

    def judged(self, path: Path) -> tuple[str, str]:
        """The verdict of mlc itself, and its words: what `mlc validate` does in its worker."""
        subject = self.subject
        try:
            evidence = prove(
                self._folder, "coreml", replace(subject.emission, path=path),
                subject.network, subject.dataset, subject.references,
            ).evidence  # fmt: skip
        except MlcError as error:  # for mlc a red row: the package cannot be read
            return "refused", error.message
        if evidence.reason:
            return "refused", evidence.reason
        wrong = [c for c in evidence.checks if c.state != "passed"]
        worst = (wrong or [c for c in evidence.checks if c.name == "parity"])[0]
        return worst.state, worst.detail

    def measured(self, path: Path) -> Effect | None:
        """What the second executor says that a package computes; None where it refuses."""
        try:
            with np.errstate(all="ignore"):
                found = second_opinion.run(path, self.subject.feeds)
        except Exception:  # whatever coremltools and numpy raise on a broken program
            return None
        (name,) = found[0]
        return Effect.of([row[name][0] for row in found], self._wanted)

    def weights(self, path: Path) -> float | None:
        """The SQNR in dB of the worst weight, decoded from the saved file."""
        if self.subject.plain is None:
            return None
        plain, found = weights.decoded(self.subject.plain), weights.decoded(path)
        ratios = []
        for name in plain.keys() & found.keys():
            before = plain[name].astype(np.float64)
            noise = float(((found[name] - before) ** 2).sum())
            ratios.append(10 * np.log10(float((before**2).sum()) / noise) if noise else np.inf)
        return min(ratios)

    def plant(self, fault: Fault) -> Trial | None:
        """None where the network has nothing of the kind."""
        planted, healthy = Saved(self.subject.emission.path), Saved(self.subject.emission.path)
        try:
            op = fault.plant(planted)
        except NotHereError:
            return None
        path = planted.write(self._folder / "planted.mlpackage")
        try:
            verdict, detail = self.judged(path)
            worst = None if verdict == "refused" else self.weights(path)
            effect = None if verdict == "refused" else self.measured(path)
        finally:
            shutil.rmtree(path)
        unseen = fault.unseen(healthy, healthy.same(op), self.values)
        return Trial(fault.name, effect, verdict, detail, unseen, worst)
