"""What validation measured on one artifact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Accuracy", "Check", "Evidence", "Golden", "Latency", "OutputError", "Parity", "State"]

State = Literal["passed", "failed", "regressed", "not verified"]


@dataclass(frozen=True)
class Check:
    """One question with its answer, as a sentence that names measured and allowed.

    `warnings` are sentences on what may still go wrong; `figures` what was measured, as plain data.
    """

    name: str
    state: State
    detail: str
    warnings: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OutputError:
    """How far one output is from the network's, over all samples.

    `span` is max − min of the network's own values; `max_relative` is `max_absolute / span`, where a
    span below 1 % of the largest magnitude counts as that 1 %; `sqnr_db` is
    10·log10(Σ reference² / Σ (artifact − reference)²), None where they are equal to the last bit.
    """

    name: str
    span: float
    max_absolute: float
    max_relative: float
    sqnr_db: float | None


@dataclass(frozen=True)
class Parity:
    """The artifact against the network on the same `samples` inputs.

    `agreement` is the share of samples with the same top-1 class; None where that means nothing.
    """

    samples: int
    outputs: tuple[OutputError, ...]
    agreement: float | None

    @property
    def worst(self) -> OutputError:
        """The output that is furthest off, relative to its span."""
        return max(self.outputs, key=lambda o: o.max_relative)


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracy of the original and of the artifact on the same labelled samples.

    Shares in 0..1; the intervals are Wilson's at 95 % (Wilson 1927).
    """

    samples: int
    original: float
    original_interval: tuple[float, float]
    artifact: float
    artifact_interval: tuple[float, float]


@dataclass(frozen=True)
class Latency:
    """Time of one run on this host, against the original in the same interleaved rounds.

    Milliseconds; `ratio` is the median over rounds of artifact / original, `spread` its quartiles.
    """

    rounds: int
    median_ms: float
    original_ms: float
    ratio: float
    spread: tuple[float, float]


@dataclass(frozen=True)
class Golden:
    """The artifact on the golden cases of its bundle, run here.

    `errors` are the largest absolute differences from the network, by output; `top1` is the artifact's
    answer to each case, None where the network is no classifier.
    """

    errors: Mapping[str, float]
    top1: tuple[int | None, ...]


@dataclass(frozen=True)
class Evidence:
    """All that is known of one artifact.

    `mutual` is the share of samples with the same top-1 class as each other artifact, by target.
    `failure` says why it could not be written or crashed; `reason` why it is *not verified*.
    `native` is the same artifact in the format's own runtime, where this host has it and `runtime` is
    another; a latency is that of `native` then.
    """

    runtime: str = ""
    parity: Parity | None = None
    accuracy: Accuracy | None = None
    latency: Latency | None = None
    golden: Golden | None = None
    mutual: Mapping[str, float] = field(default_factory=dict)
    checks: tuple[Check, ...] = field(default=())
    failure: str = ""
    reason: str = ""
    native: Evidence | None = None
