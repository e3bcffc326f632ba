"""Which ops of a float16 program stay float32: chosen by what was measured, selected on conversion."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from mlc.errors import UsageError
from mlc.targets.coreml.evaluator.meters import Figures
from mlc.targets.coreml.evaluator.program import Op, Value
from mlc.targets.coreml.fragile import HALF_MAX

__all__ = ["Selector", "called", "choose", "finite", "is_half", "operands", "short"]

# What coremltools appends to the name of an op that it makes compute in float16.
_HALF = "_cast_fp16"

# Where ops are kept in float32, so are those whose values come this close to the largest float16: data
# that nobody has seen yet may be twice as large.
_MARGIN = 0.5


class Selector:
    """Tells coremltools which ops to convert to float16: all but those wanted in float32.

    Wanted is an op by its name in the package, by its kind, or because the loop that it is in is wanted.
    State: the names and kinds of the program, known once coremltools has asked for the first op.
    """

    def __init__(self, wanted: Collection[str]) -> None:
        self._wanted = frozenset(wanted)
        self._known: set[str] = set()

    def __call__(self, op: Any) -> bool:
        """Whether this op of coremltools' program becomes float16."""
        around = [op, *_enclosing(op)]
        if not self._known:
            outermost = around[-1].enclosing_block
            self._known = {word for inner in _walk(outermost) for word in _words(inner)}
        return not any(self._wanted & _words(each) for each in around)

    def refuse_unknown(self, asked: Collection[str]) -> None:
        """Raise `UsageError` for what is neither a name nor a kind in the program."""
        unknown = sorted(set(asked) - self._known)
        if unknown:
            close = get_close_matches(unknown[0], self._known, n=3) or sorted(self._known)[:3]
            raise UsageError(
                f"The Core ML program has no op, and no kind of op, called {unknown[0]!r}.",
                f"Close are {', '.join(close)}; mlc inspect lists the kinds.",
            )


def _words(op: Any) -> frozenset[str]:
    """What an op is called by: its name, as coremltools will write it into the package, and its kind."""
    names = (op.name, *(value.name for value in op.outputs))
    return frozenset((op.op_type, *(re.sub(r"\W", "_", name) for name in names)))


def _enclosing(op: Any) -> Iterator[Any]:
    """The loops and conditions that an op is in, innermost first."""
    outer = op.enclosing_block.outer_op
    while outer is not None:
        yield outer
        outer = outer.enclosing_block.outer_op


def _walk(block: Any) -> Iterator[Any]:
    for op in block.operations:
        yield op
        for inner in op.blocks:
            yield from _walk(inner)


def is_half(op: Op) -> bool:
    """Whether the op, or any op in a loop that it is, computes in float16."""
    if op.kind.startswith("constexpr_"):
        return False
    inside = (inner for block in op.blocks for inner in block.walk())
    return any(v.type.dtype == "float16" for v in op.outputs) or any(map(is_half, inside))


def operands(op: Op) -> Iterator[Value]:
    """The real numbers that an op takes."""
    for values in op.parameters.values():
        yield from (v for v in values if v.type.is_float and v.type.container == "tensor")


def finite(constant: Value) -> bool:
    """Whether all of a constant are numbers."""
    return bool(np.isfinite(constant.constant).all())


def short(name: str) -> str:
    """The name that an op had before it was made to compute in float16."""
    return name.removesuffix(_HALF)


def called(op: Op) -> str:
    """An op's name for the user. A moved transpose gets a new name, but its result keeps the old one."""
    return short(op.outputs[0].name if len(op.outputs) == 1 else op.name)


def choose(
    ops: Sequence[Op], wide: Mapping[str, Figures], offenders: Sequence[Op]
) -> tuple[str, ...]:
    """The ops to keep in float32 so that there are no more offenders; none where there are none.

    1. All that make or take a value which does not fit into float16, or barely. `wide` are the figures
       of all values in float32.
    2. The offenders themselves; of casts, what reads them.
    3. If all of these are in float32 already, the float16 ops that feed them: something was lost earlier,
       like a divisor that was flushed to zero.
    """
    if not offenders:
        return ()
    takers = [t for op in offenders for t in (_readers(ops, op) if op.kind == "cast" else [op])]
    large = [op for op in ops if op in takers or _touches_large(op, wide)]
    chosen = [op for op in large if is_half(op) and op.kind != "cast"]
    chosen = chosen or [op for taker in takers for op in _feeders(taker)]
    return tuple(dict.fromkeys(_choice(op) for op in chosen))


def _choice(op: Op) -> str:
    """By its kind if the op was made after coremltools had decided on types: it can't be named then."""
    made_later = is_half(op) and not op.blocks and called(op) in (op.name, op.outputs[0].name)
    return op.kind if made_later else called(op)


def _touches_large(op: Op, wide: Mapping[str, Figures]) -> bool:
    return any(_is_large(v, wide) for v in (*op.outputs, *map(_before_casts, operands(op))))


def _is_large(value: Value, wide: Mapping[str, Figures]) -> bool:
    if value.is_constant:
        return value.type.is_float and not finite(value)
    figures = wide.get(value.name)
    return figures is not None and not figures.largest <= _MARGIN * HALF_MAX


def _readers(ops: Sequence[Op], read: Op) -> list[Op]:
    return [op for op in ops if any(v.op is read for v in operands(op))]


def _before_casts(value: Value) -> Value:
    """The value that casts made this one of."""
    while value.op is not None and value.op.kind == "cast":
        (value,) = value.op.parameters["x"]
    return value


def _feeders(op: Op) -> list[Op]:
    """The nearest float16 ops above an op."""
    found: list[Op] = []
    waiting, seen = [_before_casts(v) for v in operands(op)], set[str]()
    while waiting:
        value = waiting.pop()
        if value.op is None or value.name in seen or value.is_constant:
            continue
        seen.add(value.name)
        if is_half(value.op):
            found.append(value.op)
        else:
            waiting += [_before_casts(v) for v in operands(value.op)]
    return found
