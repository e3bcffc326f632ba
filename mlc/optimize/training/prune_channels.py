"""Channel pruning: whole channels are removed, and every runtime is faster for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlc.convert.graph import Body, Program
from mlc.convert.network import Network
from mlc.data.dataset import batch_size
from mlc.errors import UsageError
from mlc.optimize.training.channels import Channels, Group, kept, trace
from mlc.optimize.training.examples import Examples
from mlc.optimize.training.reconstruct import Reader, most_telling, readers, reconstruct
from mlc.optimize.training.refit import refit
from mlc.optimize.training.student import Keep, Student

__all__ = ["PruneChannels", "remove"]

Array = np.ndarray[Any, np.dtype[Any]]

_SAMPLES = 512  # to fit what is left to what was
_MULTIPLE = 8  # kernels of all runtimes work on so many channels at a time


@dataclass(frozen=True)
class PruneChannels:
    """Remove this share of the channels of every group that can lose some, 0..1, then fine-tune.

    What is left of a group is a multiple of eight. Those stay out of which the outputs of what reads them
    can be told best, on samples; where too many are read at once, those with the largest product of the
    norms of what makes a channel and of what reads it, which a rescaling of channels does not change.
    """

    share: float

    @property
    def title(self) -> str:
        """With the share."""
        return f"remove {100 * self.share:g} % of the channels"

    @property
    def learning_rate(self) -> float:
        """Of Adam, at the start. Small: what `refit` found is near, and large steps would lose it."""
        return 8e-4

    @property
    def labels(self) -> float:
        """Weight in the loss."""
        return 0.1

    def begin(self, network: Network, examples: Examples) -> Student:
        """Remove, and fit what is left to what was, layer by layer; no training yet."""
        batch = batch_size(network)
        smaller, notes = remove(network, self.share, examples.feeds(_SAMPLES, batch))
        smaller = refit(smaller, network, examples.feeds(_SAMPLES, batch))
        return Student(smaller, Keep().parameters(Program.of(smaller).main), notes=notes)


def remove(
    network: Network, share: float, samples: Iterable[Mapping[str, Array]] | None = None
) -> tuple[Network, tuple[str, ...]]:
    """The network without `share` of its channels, and a note of how many that are.

    With samples, channels are chosen by them, and what reads them is fitted to its former output.

    Raises `UsageError` where no group can lose eight.
    """
    program = Program.of(network)
    body = program.main
    channels = trace(body)
    found = readers(network, body, channels, samples) if samples is not None else []
    gone: set[int] = set()
    told = []
    for group in channels.groups():
        left = _left(group, share)
        stay = _most_telling(body, channels, group, found, left)
        gone |= set(group.classes) - set(stay)
        told.append(left < len(group.classes))
    if not gone:
        raise UsageError(
            f"No channels can be removed: no group of them keeps {100 * (1 - share):g} % in eights.",
            "Build without --prune-channels.",
        )
    reconstruct(body, channels, gone, found)
    before = sum(body.constant_value(n).size for n in {s.constant for s in channels.slices})
    _cut(body, channels, gone)
    after = sum(body.constant_value(n).size for n in {s.constant for s in channels.slices})
    body.infer_again()
    smaller = program.network(network)
    smaller = replace(smaller, parameters=network.parameters - (before - after))
    note = (
        f"{len(gone):,} channels of {sum(told)} ops were removed, and {before - after:,} parameters; "
        "channels of residual connections stay."
    )
    return smaller, (note,)


def _left(group: Group, share: float) -> int:
    """How many channels of a group stay."""
    count = len(group.classes)
    wanted = round(count * (1 - share) / _MULTIPLE) * _MULTIPLE
    return min(max(wanted, _MULTIPLE), count)


def _most_telling(
    body: Body, channels: Channels, group: Group, found: Sequence[Reader], left: int
) -> list[int]:
    """The classes of a group that stay: out of those what reads them can be told best."""
    problems = []
    for reader in found:
        roots = channels.roots(reader.ids)
        places = [np.flatnonzero(roots == c) for c in group.classes]
        if all(len(place) == 1 for place in places):
            at = np.concatenate(places)
            weights = reader.weights(body)[at].reshape(len(at), -1)
            problems.append((reader.covariance[np.ix_(at, at)], weights))
    if problems:
        return [group.classes[k] for k in most_telling(problems, left)]
    norms = _norms(body, channels)
    return sorted(group.classes, key=lambda c: -norms[c])[:left]


def _norms(body: Body, channels: Channels) -> dict[int, float]:
    """Of each class of channels, log of the product of its norms in all weights that make or read it."""
    squares: dict[tuple[int, str], float] = defaultdict(float)
    for piece in channels.slices:
        if not piece.role:
            continue
        values = body.constant_value(piece.constant).astype(np.float64)
        others = tuple(i for i in range(values.ndim) if i != piece.axis)
        for channel, square in zip(piece.ids, (values**2).sum(axis=others), strict=True):
            squares[channels.root(int(channel)), piece.role] += float(square)
    found: dict[int, float] = defaultdict(float)
    for (channel, _), square in squares.items():
        found[channel] += 0.5 * float(np.log(max(square, 1e-30)))
    return found


def _cut(body: Body, channels: Channels, gone: set[int]) -> None:
    for (name, axis), ids in {(s.constant, s.axis): s.ids for s in channels.slices}.items():
        values = body.constant_value(name)
        body.set_constant(name, np.take(values, kept(channels, ids, gone), axis))
    for name, ids in channels.reshapes.items():
        sizes = body.constant_value(name).copy()
        if sizes[-1] != -1:
            sizes[-1] = len(kept(channels, ids, gone))
            body.set_constant(name, sizes)
