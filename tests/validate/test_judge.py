"""Judging: what passes, what fails, and what proves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from mlc.validate.compare import Comparison
from mlc.validate.evidence import OutputError, Parity
from mlc.validate.judge import judge


def found(
    relative: float = 0.0,
    sqnr: float | None = 30.0,
    agreement: float | None = 1.0,
    finite: bool = True,
    variation: float = 0.5,
) -> Comparison:
    outputs = (
        OutputError("quiet", 1.0, 0.0, 0.0, None),
        OutputError("s", 1.0, relative, relative, sqnr),
    )
    return Comparison(Parity(16, outputs, agreement), None, finite, variation)


def states(comparison: Comparison, weights: Any = "float32", activations: Any = "float32") -> Any:
    return {check.name: check.state for check in judge(comparison, weights, activations)}


@pytest.mark.parametrize("relative", [0.0, 1e-7, 1e-4])
def test_float32_may_round(relative: float) -> None:
    assert states(found(relative)) == {"finite": "passed", "parity": "passed"}


@pytest.mark.parametrize("relative", [1.01e-4, 0.01, 1.0, float("inf")])
def test_float32_that_is_off_fails_and_says_by_how_much(relative: float) -> None:
    (_, parity) = judge(found(relative), "float32", "float32")
    assert parity.state == "failed"
    assert parity.detail == (
        f"output 's' is off by {relative:.1e} of its span; float32 must be within 1e-04"
    )


@pytest.mark.parametrize(
    ("weights", "activations", "least"),
    [
        ("int8", "int8", 6.0),
        ("int8", "float32", 6.0),
        ("int8", "float16", 6.0),
        ("float16", "float16", 25.0),
        ("float16", "float32", 25.0),
    ],
)
def test_compressed_artifacts_may_lose_but_not_collapse(
    weights: Any, activations: Any, least: float
) -> None:
    def state(**figures: Any) -> str:
        return str(states(found(0.05, **figures), weights, activations)["parity"])

    assert state() == "passed"
    assert state(sqnr=least) == "passed"
    assert state(sqnr=least - 0.1) == "failed"
    assert state(agreement=0.6) == "passed"
    assert state(agreement=0.59) == "failed"
    assert state(agreement=None) == "passed"


def test_equal_to_the_last_bit_is_said_in_words() -> None:
    (_, parity) = judge(found(sqnr=None, agreement=None), "int8", "int8")
    assert parity.state == "passed"
    assert parity.detail.startswith("equal to the last bit;")


def test_not_finite_is_failed_whatever_else_holds() -> None:
    assert states(found(finite=False, variation=0)) == {"finite": "failed"}


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_reference_that_hardly_varies_proves_nothing(precision: Any) -> None:
    (check,) = judge(found(variation=1e-4), precision, precision)
    assert check.state == "not verified"
    assert "hardly vary" in check.detail
    assert "--data" in check.detail


def test_no_precision_of_a_trained_network_promises_the_originals_outputs() -> None:
    def state(**figures: Any) -> str:
        checks = judge(found(0.05, **figures), "float32", "float32", trained=True)
        return str({c.name: c.state for c in checks}["parity"])

    assert state() == "passed"
    assert state(sqnr=5.9) == "failed"
    assert state(agreement=0.59) == "failed"
