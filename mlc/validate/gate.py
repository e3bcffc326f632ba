"""Limits that the user sets, and what happens when an artifact breaks one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mlc import targets
from mlc.errors import UsageError
from mlc.validate.evidence import Check, Evidence, State

__all__ = ["Limits", "check"]

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20}
_ROUNDING = 1e-9  # a limit that is met exactly is met


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
        pairs like `("max_size", "4MB")` or `("max_size", "tflite=3MB")`. The more particular one wins,
        then the flag. A limit for a target that is not built now is no mistake, one for a target that
        does not exist is: it would never hold anybody to anything.
        """
        rows: list[tuple[str | None, str, Any]] = []
        for key, value in table.items():
            of_one = isinstance(value, Mapping)
            rows += [(key, k, v) for k, v in value.items()] if of_one else [(None, key, value)]
        for name, text in flags:
            one, _, rest = text.rpartition("=")
            rows.append((one or None, name, rest))
        limits = {name: cls() for name in names}
        for target, name, value in sorted(rows, key=lambda row: row[0] is not None):
            if target is not None and target not in targets.NAMES:
                raise UsageError(
                    f"The limit {name} is set for {target!r}, which is no target.",
                    f"Known are {', '.join(targets.NAMES)}.",
                )
            if name not in _PARSERS:
                raise UsageError(
                    f"There is no limit {name!r}.", f"Known are {', '.join(_PARSERS)}."
                )
            changed: dict[str, Any] = {name: _PARSERS[name](value)}
            for each in names if target is None else [n for n in names if n == target]:
                limits[each] = replace(limits[each], **changed)
        return limits

    def to_json(self) -> dict[str, Any]:
        """Only the limits that are set."""
        return {k: v for k, v in asdict(self).items() if v is not None}


def check(limits: Limits, evidence: Evidence, size: int) -> tuple[Check, ...]:
    """Compare evidence with limits.

    What was not measured keeps no limit: it counts as regressed. Nor does the agreement of a network
    that answers the same to everything: there it would be 100 % whatever the artifact does.
    """
    checks = []
    unproven = any(c.name == "parity" and c.state == "not verified" for c in evidence.checks)
    doubt = evidence.failure or evidence.reason or ("parity is not verified" if unproven else "")
    if limits.max_size is not None:
        state: State = "passed" if size <= limits.max_size else "regressed"
        checks.append(
            Check("size", state, f"size {size:,} bytes; allowed at most {limits.max_size:,} bytes")
        )
    if limits.min_agreement is not None:
        agreement = evidence.parity.agreement if evidence.parity else None
        allowed = f"allowed at least {limits.min_agreement:g} %"
        if agreement is None or doubt:
            why = doubt or "the network is not known as a classifier"
            checks.append(_unmeasured("agreement", why, allowed))
        else:
            met = 100 * agreement >= limits.min_agreement - _ROUNDING
            shown = f"agreement {100 * agreement:.2f} %; {allowed}"
            checks.append(Check("agreement", "passed" if met else "regressed", shown))
    if limits.max_accuracy_drop is not None:
        allowed = f"allowed at most {limits.max_accuracy_drop:g} points"
        if evidence.accuracy is None or doubt:
            why = doubt or "no labelled data, or the network is not known as a classifier"
            checks.append(_unmeasured("accuracy drop", why, allowed))
        else:
            drop = 100 * (evidence.accuracy.original - evidence.accuracy.artifact)
            met = drop <= limits.max_accuracy_drop + _ROUNDING
            shown = f"accuracy drop {drop:.2f} points; {allowed}"
            checks.append(Check("accuracy drop", "passed" if met else "regressed", shown))
    return tuple(checks)


def _unmeasured(name: str, why: str, allowed: str) -> Check:
    return Check(name, "regressed", f"{name} was not measured ({why}); {allowed}")


def _points(value: Any) -> float:
    number = _number(value)
    if not 0 <= number <= 100:
        raise UsageError(
            f"The limit max_accuracy_drop is {value!r}.", "Give percentage points, e.g. 0.5."
        )
    return number


def _percent(value: Any) -> float:
    number = _number(value)
    if not 1 < number <= 100 and number != 0:  # 0.95 would let everything pass
        raise UsageError(f"The limit min_agreement is {value!r}.", "Give percent, e.g. 95.")
    return number


def _number(value: Any) -> float:
    try:
        return float(str(value).strip().removesuffix("%"))
    except ValueError:
        return math.nan  # within no bounds


def _size(value: Any) -> int:
    match = re.fullmatch(r"(\d+|\d*\.\d+)\s*([a-zA-Z]*)", str(value).strip(), flags=re.ASCII)
    if not match or match[2].lower() not in _UNITS:
        raise UsageError(f"The limit max_size is {value!r}.", "Give bytes, or a size like 4MB.")
    return int(float(match[1]) * _UNITS[match[2].lower()])


_PARSERS: dict[str, Callable[[Any], float | int]] = {
    "max_accuracy_drop": _points,
    "min_agreement": _percent,
    "max_size": _size,
}
