"""Timing: interleaved rounds, ratios within a round."""

from __future__ import annotations

import time

import pytest

from mlc.validate.latency import interleave
from tests import stand_ins
from tests.stand_ins import Function

NETWORK = stand_ins.network()


def sleeping(seconds: float, turns: list[str], name: str) -> Function:
    def run(_: object) -> dict[str, object]:
        turns.append(name)
        time.sleep(seconds)
        return {}

    return Function(NETWORK, run)


def test_ratios_are_those_of_the_runtimes() -> None:
    turns: list[str] = []
    original = sleeping(0.04, turns, "original")
    others = {
        "half": (sleeping(0.02, turns, "half"), {}),
        "double": (sleeping(0.08, turns, "double"), {}),
    }
    found = interleave(original, {}, others)
    assert found["half"].ratio == pytest.approx(0.5, rel=0.3)
    assert found["double"].ratio == pytest.approx(2, rel=0.3)
    assert found["double"].original_ms == pytest.approx(40, rel=0.5)
    assert found["double"].median_ms == pytest.approx(80, rel=0.5)
    for latency in found.values():
        assert latency.spread[0] <= latency.ratio <= latency.spread[1]
        assert 5 <= latency.rounds <= 40
        assert len(turns) == 3 * (latency.rounds + 1), "one warm-up each"
    assert turns == ["original", "half", "double"] * (len(turns) // 3), "in turn"


@pytest.mark.parametrize(("seconds", "rounds"), [(0.0, 40), (0.6, 5)])
def test_rounds_have_bounds(seconds: float, rounds: int) -> None:
    turns: list[str] = []
    original = sleeping(0.0, turns, "original")
    found = interleave(original, {}, {"other": (sleeping(seconds, turns, "other"), {})})
    assert found["other"].rounds == rounds
