"""The fp16 audit: what goes wrong in a program because it computes in float16, and what to do about it.

The program is run twice on the same samples: as declared, each result rounded to float16, and with every
type widened to float32. Whatever is finite in the second run and is not in the first was lost to float16.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mlc.targets.coreml import evaluator
from mlc.targets.coreml.evaluator.lowering import Mode
from mlc.targets.coreml.evaluator.meters import Figures
from mlc.targets.coreml.evaluator.program import Op, Program, Value, load
from mlc.targets.coreml.float32_ops import called, choose, finite, is_half, operands, short
from mlc.targets.coreml.fragile import FRAGILE, HALF_MAX
from mlc.targets.target import Array, Arrays

__all__ = ["Audit", "Offence", "audit"]

# Outputs that differ by more than this share of their span are harmed: two correct implementations of a
# float16 program differ by 1e-3 to 2e-3.
HARM = 1e-2


@dataclass(frozen=True)
class Offence:
    """The op whose operands are numbers, but whose result in float16 is not.

    `largest` is how large the result would be in float32, infinite or NaN where that is no number either.
    """

    op: Op
    nan: bool
    largest: float

    def __str__(self) -> str:
        what = "turns NaN" if self.nan else "overflows"
        size = f" (|x| up to {self.largest:.3g})" if math.isfinite(self.largest) else ""
        if self.op.kind == "cast":
            (operand,) = self.op.parameters["x"]
            return f"{short(operand.name)} {what} when cast to float16{size}"
        return f"{self.op.kind} {called(self.op)} {what}{size}"


@dataclass(frozen=True)
class Audit:
    """What was found on so many batches. Shares are 0..1; names are those of the program's ops.

    `harm` is the largest difference of any output between the two runs, relative to the output's span;
    infinite if an output is no number. `float32_ops` are the ops to keep in float32 against the offence.
    """

    batches: int
    first: Offence | None
    harm: float
    constants: tuple[str, ...]  # float16 constants that are infinite or NaN
    headroom: tuple[float, str]  # largest |x| / 65504, and where; 1 and more does not fit
    flushed: tuple[float, str]  # largest share of a value that is flushed to zero, and where
    sums: tuple[tuple[float, str], ...]  # Σ|x||w| beyond 65504, and where
    fragile: tuple[str, ...]  # sentences
    float32_ops: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether float16 spoils the outputs, by an overflow or a NaN."""
        return self.first is not None and not self.harm <= HARM


def audit(path: Path, samples: Iterable[Arrays]) -> Audit | None:
    """Audit the package at `path` on `samples`, which are what it takes as inputs.

    None for a program that computes nothing in float16. Values inside of loops are not looked at one by
    one, only what comes out. Raises `UnverifiableError` where the package cannot be run.
    """
    program = load(path)
    if not any(is_half(op) for op in program.block.walk()):
        return None
    samples = list(samples)
    wide, half = (_run(path, mode, samples) for mode in _MODES)
    return _Findings(program, wide, half).audit()


_MODES: tuple[Mode, ...] = ("float32", "declared")


@dataclass
class _Run:
    """All batches in one mode: figures of every value, and the outputs themselves."""

    values: dict[str, Figures] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    outputs: list[Mapping[str, Array]] = field(default_factory=list)


def _run(path: Path, mode: Mode, samples: Sequence[Arrays]) -> _Run:
    found = _Run()
    with closing(evaluator.open(path, mode)) as opened:
        for feeds in samples:
            measured = opened.measure(feeds)
            for name, figures in measured.values.items():
                found.values[name] = found.values.get(name, Figures()) + figures
            for name, bound in measured.sums.items():
                found.sums[name] = max(found.sums.get(name, 0.0), bound)
            found.outputs.append(measured.outputs)
    return found


class _Findings:
    """What the two runs of a program tell."""

    def __init__(self, program: Program, wide: _Run, half: _Run) -> None:
        self.ops = program.block.ops
        self.wide, self.half = wide, half
        self.infinite = {
            v.name
            for op in program.block.walk()
            for v in operands(op)
            if v.is_constant and v.type.dtype == "float16" and not finite(v)
        }

    def audit(self) -> Audit:
        offences = self._offences()
        harm = self._harm()
        halves = [v.name for op in self.ops if is_half(op) for v in op.outputs]
        largest = {n: f.largest for n in halves if (f := self.wide.values.get(n)) and f.finite}
        flushed = {
            n: f.flushed / f.size for n in halves if (f := self.half.values.get(n)) and f.size
        }
        return Audit(
            batches=len(self.half.outputs),
            first=offences[0] if offences else None,
            harm=harm,
            constants=tuple(sorted(self.infinite)),
            headroom=_worst({n: x / HALF_MAX for n, x in largest.items()}),
            flushed=_worst(flushed),
            sums=tuple(
                (bound, short(name))
                for name, bound in self.wide.sums.items()
                if HALF_MAX < bound < math.inf
            ),
            fragile=tuple(self._fragile()),
            float32_ops=choose(self.ops, self.wide.values, [o.op for o in offences]),
        )

    def _offences(self) -> list[Offence]:
        """All ops that make infinities or NaN of numbers, as float16 has them but float32 has not.

        Constants that are infinite already spoil the run in float32 too: what they touch is not excused.
        """
        found = []
        for op in self.ops:
            taken = [self._in_half(v) for v in operands(op)]
            infinite = any(v.is_constant and v.name in self.infinite for v in operands(op))
            for value in op.outputs:
                result, wide = self._in_half(value), self.wide.values.get(value.name, Figures())
                fresh_nan = result.nan and not any(f.nan for f in taken)
                overflow = result.infinite and all(f.finite for f in taken) and not infinite
                excused = not wide.finite and not self.infinite
                if (fresh_nan or overflow) and not excused:
                    found.append(Offence(op, result.nan, wide.largest))
                    break
        return found

    def _in_half(self, value: Value) -> Figures:
        return self.half.values.get(value.name, Figures())

    def _harm(self) -> float:
        """The largest difference between the outputs of the two runs, relative to the output's span."""
        worst = 0.0
        for name in self.half.outputs[0] if self.half.outputs else ():
            wide = _joined(name, self.wide.outputs)
            half = _joined(name, self.half.outputs)
            comparable = bool(np.isfinite(wide).all())
            if not np.isfinite(half).all() and (comparable or self.infinite):
                return math.inf
            if not comparable:
                continue  # the network's own doing
            span = max(float(np.ptp(wide)), 0.01 * float(np.abs(wide).max()))
            worst = max(worst, float(np.abs(half - wide).max()) / span if span else 0.0)
        return worst

    def _fragile(self) -> Iterator[str]:
        for op in filter(is_half, self.ops):
            known = FRAGILE.get(op.kind)
            if known is None or (known.only and str(_text(op, known.only[0])) != known.only[1]):
                continue
            operand = self.wide.values.get(op.parameters["x"][0].name)
            result = self.wide.values.get(op.outputs[0].name)
            if operand is None or result is None or not result.size:
                continue
            reached, limit = (
                getattr(operand, known.measure),
                known.limit(operand.size / result.size),
            )
            if reached > limit:
                yield (
                    f"{op.kind} {called(op)} takes values up to {reached:.3g}, and beyond "
                    f"{limit:.3g} {known.why}"
                )


def _joined(name: str, outputs: Sequence[Mapping[str, Array]]) -> Array:
    return np.concatenate([o[name].astype(np.float64).ravel() for o in outputs])


def _text(op: Op, parameter: str) -> Any:
    values = op.parameters.get(parameter)
    return values[0].constant if values else ""


def _worst(shares: Mapping[str, float]) -> tuple[float, str]:
    if not shares:
        return (0.0, "")
    name = max(shares, key=lambda n: shares[n])
    return (shares[name], short(name))
