"""Limits: how they are written, who they hold for, and what breaks them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.errors import UsageError
from mlc.validate.evidence import Accuracy, Check, Evidence, Parity
from mlc.validate.gate import Limits, check

NAMES = ("coreml", "tflite")


def limits(table: Any = None, *flags: tuple[str, str]) -> dict[str, Limits]:
    return Limits.per_target(NAMES, table or {}, flags)


def test_without_limits_nothing_is_checked() -> None:
    assert limits() == {"coreml": Limits(), "tflite": Limits()}
    assert check(Limits(), Evidence(), 10) == ()


def test_one_flag_holds_for_all() -> None:
    assert limits(None, ("max_size", "4MB")) == dict.fromkeys(NAMES, Limits(max_size=4_000_000))


def test_the_more_particular_one_wins_then_the_flag() -> None:
    table = {"max_size": "4MB", "min_agreement": 90, "tflite": {"max_size": "3MB"}}
    assert limits(table, ("min_agreement", "95%"), ("max_size", "5MB")) == {
        "coreml": Limits(max_size=5_000_000, min_agreement=95),
        "tflite": Limits(max_size=3_000_000, min_agreement=95),
    }
    assert limits(table, ("max_size", "tflite=2MB"))["tflite"].max_size == 2_000_000


def test_limits_of_targets_not_built_now_are_kept_for_later() -> None:
    assert limits({"onnx": {"max_size": "1MB"}}) == limits()


@pytest.mark.parametrize(
    "wrong",
    [
        ({}, ("max_size", "tflit=3MB")),
        ({"tflit": {"max_size": "3MB"}},),
    ],
)
def test_a_limit_for_a_target_that_does_not_exist_would_never_hold(wrong: Any) -> None:
    with pytest.raises(UsageError, match="'tflit', which is no target"):
        limits(*wrong)


def test_an_unknown_limit_is_named() -> None:
    with pytest.raises(UsageError, match="no limit 'max_latency'"):
        limits({"max_latency": 3})


@given(
    st.integers(1, 10**6),
    st.sampled_from(["", "B", "kB", "KB", "MB", "mb", "GB", "KiB", "MiB"]),
    st.sampled_from(["", " "]),
)
def test_sizes_are_decimal_unless_they_say_otherwise(count: int, unit: str, gap: str) -> None:
    factor = {"": 1, "b": 1, "kb": 1000, "mb": 10**6, "gb": 10**9, "kib": 1024, "mib": 2**20}
    flags = ("max_size", f"{count}{gap}{unit}")
    assert limits(None, flags)["tflite"].max_size == count * factor[unit.lower()]


def test_sizes_may_have_a_point_and_toml_numbers_no_quotes() -> None:
    assert limits({"max_size": 1500})["tflite"].max_size == 1500
    assert limits({"max_size": "1.5MB"})["tflite"].max_size == 1_500_000
    assert limits({"max_size": ".5kB"})["tflite"].max_size == 500


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_size", "3 bananas"),
        ("max_size", "1.2.3MB"),
        ("max_size", "."),
        ("max_size", "-3MB"),
        ("max_size", ""),
        ("max_size", "MB"),
        ("max_size", "nan"),
        ("max_size", True),
        ("max_accuracy_drop", "a lot"),
        ("max_accuracy_drop", "-1"),
        ("max_accuracy_drop", "nan"),
        ("max_accuracy_drop", [1]),
        ("min_agreement", "101"),
        ("min_agreement", "0.95"),  # percent: this would let everything pass
        ("min_agreement", "inf"),
    ],
)
def test_what_is_no_limit_is_refused(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"The limit {name} is ") as caught:
        limits({name: value})
    assert caught.value.hint.startswith("Give ")


@given(st.text())
def test_no_text_makes_the_parser_crash(text: str) -> None:
    for name in ("max_size", "min_agreement", "max_accuracy_drop"):
        try:
            found = limits({name: text})["tflite"]
        except UsageError:
            continue
        assert getattr(found, name) >= 0


def evidence(agreement: float | None, original: float = 0.9, artifact: float = 0.9) -> Evidence:
    interval = (0.0, 1.0)
    return Evidence(
        parity=Parity(100, (), agreement),
        accuracy=Accuracy(100, original, interval, artifact, interval),
    )


@pytest.mark.parametrize(
    ("limit", "measured", "size", "state", "says"),
    [
        (Limits(max_size=100), evidence(1.0), 100, "passed", ""),
        (
            Limits(max_size=1000),
            evidence(1.0),
            1001,
            "regressed",
            "size 1,001 bytes; allowed at most 1,000 bytes",
        ),
        (Limits(min_agreement=97), evidence(0.97), 0, "passed", ""),
        (
            Limits(min_agreement=97),
            evidence(0.96),
            0,
            "regressed",
            "agreement 96.00 %; allowed at least 97 %",
        ),
        (Limits(max_accuracy_drop=0.5), evidence(1.0, 0.9, 0.895), 0, "passed", ""),
        (Limits(max_accuracy_drop=0), evidence(1.0, 0.9, 0.95), 0, "passed", ""),
        (
            Limits(max_accuracy_drop=0.5),
            evidence(1.0, 0.9, 0.88),
            0,
            "regressed",
            "accuracy drop 2.00 points; allowed at most 0.5 points",
        ),
    ],
)
def test_measured_and_allowed_are_both_named(
    limit: Limits, measured: Evidence, size: int, state: str, says: str
) -> None:
    (found,) = check(limit, measured, size)
    assert found.state == state
    assert says in found.detail


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        (Evidence(), "not known as a classifier"),
        (Evidence(reason="The Flex delegate is missing."), "The Flex delegate is missing."),
        (Evidence(failure="The process crashed."), "The process crashed."),
        (
            Evidence(
                parity=Parity(16, (), 1.0), checks=(Check("parity", "not verified", "hardly vary"),)
            ),
            "parity is not verified",
        ),
    ],
)
def test_what_was_not_measured_keeps_no_limit(measured: Evidence, why: str) -> None:
    checks = check(Limits(min_agreement=90, max_accuracy_drop=1), measured, 0)
    assert [c.name for c in checks] == ["agreement", "accuracy drop"]
    for found in checks:
        assert found.state == "regressed"
        assert "was not measured" in found.detail
        assert why in found.detail
        assert "allowed" in found.detail


def test_json_has_only_what_is_set() -> None:
    assert Limits(max_size=5).to_json() == {"max_size": 5}
