"""Limits that the user sets, and what happens when an artifact breaks one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from mlc.errors import UsageError
from mlc.validate.evidence import Check, Evidence

__all__ = ["Limits", "check"]

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20}


@dataclass(frozen=True)
class Limits:
    """None is no limit.

    `max_accuracy_drop` is in percentage points below the original, `min_agreement` in percent of the
    samples, `max_size` in bytes on disk.
    """

    max_accuracy_drop: float | None = None
    min_agreement: float | None = None
    max_size: int | None = None

    @classmethod
    def per_target(
        cls, names: Sequence[str], table: Mapping[str, Any], flags: Sequence[tuple[str, str]]
    ) -> dict[str, Limits]:
        """The limits of each target.

        `table` is `[limits]` of mlc.toml: fields for all targets, and sub-tables for one. `flags` are
        pairs like `("max_size", "4MB")` or `("max_size", "tflite=3MB")`. The more particular one wins.
        """
        rows = [(None, k, v) for k, v in table.items() if not isinstance(v, Mapping)]
        rows += [
            (t, k, v)
            for t, sub in table.items()
            if isinstance(sub, Mapping)
            for k, v in sub.items()
        ]
        for name, value in flags:
            target, _, rest = value.rpartition("=")
            rows.append((target or None, name, rest))
        limits = {name: cls() for name in names}
        for target, field, value in sorted(rows, key=lambda row: row[0] is not None):
            if field not in {f.name for f in fields(cls)}:
                raise UsageError(
                    f"There is no limit {field!r}.",
                    f"Known are {', '.join(f.name for f in fields(cls))}.",
                )
            parsed = _size(value) if field == "max_size" else _number(field, value)
            for name in names if target is None else [n for n in names if n == target]:
                limits[name] = replace(limits[name], **{field: parsed})
        return limits

    def to_json(self) -> dict[str, Any]:
        """Only the limits that are set."""
        return {k: v for k, v in asdict(self).items() if v is not None}


def check(limits: Limits, evidence: Evidence, size: int) -> tuple[Check, ...]:
    """Compare evidence with limits. What was not measured cannot keep a limit: it is regressed too."""
    checks = []
    if limits.max_size is not None:
        checks.append(_at_most("size", size, limits.max_size, "bytes", ""))
    if limits.min_agreement is not None:
        agreement = evidence.parity.agreement if evidence.parity else None
        percent = None if agreement is None else 100 * agreement
        checks.append(
            _at_most(
                "agreement",
                None if percent is None else -percent,
                -limits.min_agreement,
                "%",
                evidence.reason or "the network is not a classifier",
            )
        )
    if limits.max_accuracy_drop is not None:
        accuracy = evidence.accuracy
        drop = None if accuracy is None else 100 * (accuracy.original - accuracy.artifact)
        checks.append(
            _at_most(
                "accuracy drop",
                drop,
                limits.max_accuracy_drop,
                "points",
                evidence.reason or "the data have no labels",
            )
        )
    return tuple(checks)


def _at_most(name: str, measured: float | None, allowed: float, unit: str, why: str) -> Check:
    """One limit as a check; negative bounds are lower limits, told in positive numbers."""
    word = "at least" if allowed < 0 else "at most"
    bound = f"allowed {word} {_show(abs(allowed), unit)}"
    if measured is None:
        return Check(name, "regressed", f"{name} was not measured ({why}); {bound}")
    # Rounding of percent figures must not fail a limit that is met exactly.
    met = measured <= allowed + 1e-9
    shown = _show(-measured if allowed < 0 else measured, unit)
    return Check(name, "passed" if met else "regressed", f"{name} {shown}; {bound}")


def _show(value: float, unit: str) -> str:
    return f"{value:,.0f} bytes" if unit == "bytes" else f"{value:.2f} {unit}"


def _number(field: str, value: Any) -> float:
    try:
        return float(str(value).rstrip("% "))
    except ValueError:
        raise UsageError(f"The limit {field} is {value!r}.", "Give a number.") from None


def _size(value: Any) -> int:
    match = re.fullmatch(r"([\d.]+)\s*([a-zA-Z]*)", str(value).strip())
    if not match or match[2].lower() not in _UNITS:
        raise UsageError(f"The limit max_size is {value!r}.", "Give bytes, or a size like 4MB.")
    return int(float(match[1]) * _UNITS[match[2].lower()])
