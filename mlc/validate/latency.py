"""Time of a run on this host: artifacts and original in the same interleaved rounds."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from mlc.targets.target import Array, Arrays, Runtime
from mlc.validate.evidence import Latency

__all__ = ["interleave"]

_ROUNDS = (5, 40)  # at least, at most
_SECONDS = 2.0  # of measuring in all: enough for a ratio, short enough for every build


def interleave(
    original: Runtime, feeds: Arrays, others: Mapping[str, tuple[Runtime, Arrays]]
) -> dict[str, Latency]:
    """Time `original` and every other runtime in turn, A B C A B C …, after one warm-up each.

    A noisy machine disturbs all of a round alike, so ratios are taken within a round.
    """
    turns: list[tuple[Runtime, Arrays]] = [(original, feeds), *others.values()]
    warm = sum(_once(runtime, inputs) for runtime, inputs in turns)
    rounds = int(np.clip(_SECONDS / max(warm, 1e-6), *_ROUNDS))
    times = np.array([[_once(*turn) for turn in turns] for _ in range(rounds)])
    return {
        name: _latency(times[:, 0], times[:, column]) for column, name in enumerate(others, start=1)
    }


def _once(runtime: Runtime, feeds: Arrays) -> float:
    start = time.perf_counter()
    runtime.run(feeds)
    return time.perf_counter() - start


def _latency(original: Array, artifact: Array) -> Latency:
    ratios = artifact / original
    low, middle, high = np.percentile(ratios, (25, 50, 75))
    return Latency(
        rounds=len(ratios),
        median_ms=1000 * float(np.median(artifact)),
        original_ms=1000 * float(np.median(original)),
        ratio=float(middle),
        spread=(float(low), float(high)),
    )
