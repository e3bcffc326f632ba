"""Emission repairs itself: ops that float16 spoils stay float32."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from mlc.errors import UnverifiableError
from mlc.targets.coreml import package
from mlc.targets.coreml.audit import Audit, Offence, audit
from mlc.targets.coreml.runtime import feeding
from mlc.targets.target import Arrays, Emission

__all__ = ["repaired"]

_ROUNDS = 6  # a repair that takes more conversions than that goes round in circles
_FEW = 5  # names in a sentence


def repaired(
    write: Callable[[frozenset[str]], Emission], samples: Sequence[Arrays], asked: Collection[str]
) -> Emission:
    """Write a float16 package; while the audit fails, write it again with more ops in float32.

    `write` takes the names to keep in float32, `samples` are tensors of the network. Notes say which ops
    stayed float32 and why, or that no choice of ops helps.
    """
    kept = frozenset(asked)
    emission = write(kept)
    try:
        found = _audit(emission, samples)
        offences: list[Offence] = []
        for _ in range(_ROUNDS):
            more = kept.union(found.float32_ops) if found else kept
            if found is None or found.first is None or not found.failed or more == kept:
                break
            offences.append(found.first)
            kept = more
            shutil.rmtree(emission.path)
            emission = write(kept)
            found = _audit(emission, samples)
    except UnverifiableError:
        return emission  # validation will say so
    return replace(
        emission, notes=(*emission.notes, *_notes(kept.difference(asked), offences, found))
    )


def _audit(emission: Emission, samples: Sequence[Arrays]) -> Audit | None:
    feeds = feeding(package.read_spec(emission.path))
    return audit(emission.path, [feeds(sample) for sample in samples])


def _notes(
    added: Collection[str], offences: Sequence[Offence], found: Audit | None
) -> Iterator[str]:
    if offences:
        names = sorted(added)
        shown = ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if names[_FEW:] else "")
        ops = "1 op stays" if len(names) == 1 else f"{len(names)} ops stay"
        yield f"{ops} in float32, because in float16 {offences[0]}: {shown}."
    if found is not None and found.failed:
        yield "No choice of ops to keep in float32 was found that mends the rest: leave out --fp16."
