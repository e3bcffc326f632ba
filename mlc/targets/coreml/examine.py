"""What Core ML packages are examined for: the fp16 audit, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mlc.errors import UnverifiableError
from mlc.targets.coreml import package
from mlc.targets.coreml.audit import HARM, Audit, audit
from mlc.targets.coreml.fragile import HALF_MAX
from mlc.targets.coreml.runtime import feeding
from mlc.targets.target import Arrays, Finding

__all__ = ["examine"]

_AUDIT = "fp16 audit"
_FEW = 3  # of one kind are told; the report file lists all
# More than this share of float16's range: data that are twice as large do not fit.
_CLOSE = 0.5
# Where float16 harms the outputs, this share of a value lost to zero is worth naming.
_MUCH_FLUSHED = 0.01


def examine(path: Path, samples: Sequence[Arrays]) -> tuple[Finding, ...]:
    """Audit a package that computes in float16, on `samples`: feeds as the runtime of `open` takes them.

    Nothing is found in one that does not. What cannot be run is *not verified*.
    """
    feeds = feeding(package.read_spec(path))
    try:
        found = audit(path, [feeds(sample) for sample in samples])
    except UnverifiableError as error:
        return (Finding(_AUDIT, "not verified", str(error)),)
    return () if found is None else (_told(found),)


def _told(found: Audit) -> Finding:
    warnings, figures = tuple(_warnings(found)), _figures(found)
    if found.failed:
        return Finding(_AUDIT, "failed", _failure(found), warnings, figures)
    return Finding(_AUDIT, "passed", _success(found), warnings, figures)


def _failure(found: Audit) -> str:
    off = (
        "are no numbers" if math.isinf(found.harm) else f"are off by {found.harm:.0%} of their span"
    )
    detail = f"in float16 {found.first}, and the outputs {off}"
    if not found.float32_ops:
        return detail
    ops = found.float32_ops
    which = (
        ",".join(ops) if len(ops) <= _FEW else f"and the {len(ops)} names that report.json lists"
    )
    return f"{detail}; keep in float32 what does not fit: --coreml-float32-ops {which}"


def _success(found: Audit) -> str:
    share, where = found.headroom
    flushed, zero = found.flushed
    detail = (
        f"float16 holds on {found.batches} batches; "
        f"the largest value is {share * HALF_MAX:.3g} of {HALF_MAX:.0f}, in {where}"
    )
    return detail + (f"; {flushed:.2%} of {zero} are flushed to zero" if flushed else "")


def _warnings(found: Audit) -> Iterator[str]:
    if found.first and not found.failed:
        yield f"In float16 {found.first}, but that does not reach the outputs of these samples."
    for name in found.constants[:_FEW]:
        yield f"The float16 constant {name} is infinite: times zero it is NaN."
    share, where = found.headroom
    if found.first is None and share > _CLOSE:
        yield f"{where} takes {share:.0%} of float16's range: data twice as large overflow."
    for bound, name in sorted(found.sums, reverse=True)[:_FEW]:
        yield (
            f"{name} adds up magnitudes of {bound:.3g}, beyond float16's {HALF_MAX:.0f}: a device that "
            "accumulates in float16 may overflow."
        )
    yield from (f"{sentence}." for sentence in found.fragile[:_FEW])
    flushed, zero = found.flushed
    if found.first is None and found.harm > HARM and flushed > _MUCH_FLUSHED:
        yield (
            f"float16 moves the outputs by {found.harm:.0%} of their span; "
            f"{flushed:.0%} of {zero} are flushed to zero."
        )


def _figures(found: Audit) -> dict[str, Any]:
    """For the report file."""
    return {
        "batches": found.batches,
        "first": str(found.first) if found.first else None,
        "harm": found.harm if math.isfinite(found.harm) else None,
        "infinite_constants": list(found.constants),
        "headroom": {"share": _number(found.headroom[0]), "op": found.headroom[1]},
        "flushed": {"share": found.flushed[0], "op": found.flushed[1]},
        "long_sums": [{"bound": _number(bound), "op": name} for bound, name in found.sums],
        "fragile": list(found.fragile),
        "float32_ops": list(found.float32_ops),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
