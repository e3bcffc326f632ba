"""What removed channels told, told by those that stay: which ones, and how, by least squares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc.convert.execute import function
from mlc.convert.graph import Body
from mlc.convert.network import Network
from mlc.optimize.passes.linear import Linear, linears
from mlc.optimize.training.channels import Channels, kept

__all__ = ["Reader", "most_telling", "readers", "reconstruct"]

Array = np.ndarray[Any, np.dtype[Any]]

# Of the mean variance: channels that are copies of each other have no unique solution.
_RIDGE = 1e-4
_WIDEST = 4096  # channels; beyond that their matrix would be larger than the network


@dataclass(frozen=True)
class Reader:
    """A linear op that reads channels which may be removed, and what it reads on samples.

    `gram` (C, C) holds the mean products of channels over all samples and positions, `mean` (C,) their
    means. Where the op has no bias, nothing constant can be added to its output, and `mean` is 0.
    """

    op: Linear
    ids: Array  # of the channels, (C,)
    gram: Array
    mean: Array
    bias: str | None  # name of the constant

    @property
    def covariance(self) -> Array:
        """What the bias cannot tell, (C, C)."""
        found: Array = self.gram - np.outer(self.mean, self.mean)
        return found

    def weights(self, body: Body) -> Array:
        """Float64, inputs first: (C, …)."""
        values = body.constant_value(self.op.kernel).astype(np.float64)
        return np.moveaxis(values, self.op.input_axis, 0)


def readers(
    network: Network, body: Body, channels: Channels, samples: Iterable[Mapping[str, Array]]
) -> list[Reader]:
    """All but those of very many channels, as behind a flattened picture. `body` is the network's."""
    ids = {s.constant: s.ids for s in channels.slices if s.role == "in"}
    ops = [op for op in linears(body) if op.kernel in ids and len(ids[op.kernel]) <= _WIDEST]
    moments = _moments(network, sorted({op.data for op in ops}), samples)
    found = []
    for op in ops:
        gram, mean = moments[op.data][:-1, :-1], moments[op.data][-1, :-1]
        reader = body.only_reader(op.node.name)
        biased = reader is not None and reader.op == "BiasAdd"
        constant = body.producer(reader.input[1]) if biased else None
        bias = constant.name if constant is not None and constant.op == "Const" else None
        found.append(Reader(op, ids[op.kernel], gram, mean if bias else 0 * mean, bias))
    return found


def most_telling(problems: Sequence[tuple[Array, Array]], count: int) -> list[int]:
    """`count` channels out of which the outputs of all readers can be told best, the best first.

    A problem is the covariance (C, C) of the channels and the weights (C, O) of what reads them. One
    channel after another is taken: the one that explains most of what is left of the outputs, as in
    ThiNet (Luo et al. 2017) and orthogonal matching pursuit.
    """
    states = []
    for covariance, weights in problems:
        ridge, told = _ridge(covariance), covariance @ weights
        total = max(float((weights * told).sum()), 1e-30)
        # With the ridge what is left of each channel stays positive, however many explain one another.
        states.append((covariance + ridge * np.eye(len(covariance)), told, ridge, total))
    chosen: list[int] = []
    for _ in range(count):
        gains = np.zeros(len(problems[0][0]))
        for left, told, ridge, total in states:
            gains += (told**2).sum(axis=1) / np.maximum(np.diag(left), ridge) / total
        gains[chosen] = -1
        best = int(gains.argmax())
        chosen.append(best)
        for left, told, ridge, _ in states:
            share = left[:, best] / max(left[best, best], ridge)
            told -= np.outer(share, told[best])
            left -= np.outer(share, left[best])
    return chosen


def reconstruct(body: Body, channels: Channels, gone: set[int], found: Sequence[Reader]) -> None:
    """Change what reads removed channels so that its output stays as near as it can.

    ::

        X_gone ≈ X_kept · B + c        over all samples and positions (He et al. 2017, section 3.1)
        W_kept := W_kept + B · W_gone        bias := bias + c · Σ W_gone

    To be called before channels are cut. A convolution that pads sees c at its border too; only there it
    is inexact.
    """
    for reader in found:
        stay = kept(channels, reader.ids, gone)
        leave = np.setdiff1d(np.arange(len(reader.ids)), stay)
        if len(leave):
            _absorb(body, reader, stay, leave)


def _absorb(body: Body, reader: Reader, stay: Array, leave: Array) -> None:
    op, covariance = reader.op, reader.covariance
    among = covariance[np.ix_(stay, stay)]
    among += _ridge(among) * np.eye(len(stay))
    told = np.linalg.solve(among, covariance[np.ix_(stay, leave)])
    rest = reader.mean[leave] - reader.mean[stay] @ told

    weights = reader.weights(body)
    lost = weights[leave]
    weights[stay] += np.tensordot(told, lost, 1)
    changed = np.moveaxis(weights, 0, op.input_axis)
    body.set_constant(op.kernel, np.ascontiguousarray(changed, np.float32))
    if reader.bias is not None:
        outputs = op.output_axes[0] - (op.input_axis < op.output_axes[0])  # inputs are summed away
        summed = np.tensordot(rest, lost, 1)
        others = tuple(i for i in range(summed.ndim) if i != outputs)
        added = body.constant_value(reader.bias) + summed.sum(axis=others)
        body.set_constant(reader.bias, added.astype(np.float32))


def _ridge(covariance: Array) -> float:
    return _RIDGE * max(float(np.diag(covariance).mean()), 1e-12)


def _moments(
    network: Network, tensors: Sequence[str], samples: Iterable[Mapping[str, Array]]
) -> dict[str, Array]:
    """Second moments of the last axis of each tensor, with a 1 appended: (C + 1, C + 1), float64.

    So the last row holds the means. Over all samples and positions. Sums of float32 would make the
    covariance indefinite, where channels outnumber samples.
    """
    import tensorflow as tf

    def moment(tensor: Any) -> Any:
        rows = tf.cast(tf.reshape(tensor, [-1, tf.shape(tensor)[-1]]), tf.float64)
        rows = tf.concat([rows, tf.ones([tf.shape(rows)[0], 1], tf.float64)], 1)
        return tf.matmul(rows, rows, transpose_a=True) / tf.cast(tf.shape(rows)[0], tf.float64)

    measure = function(
        network, [f"{name}:0" for name in tensors], lambda found: [moment(t) for t in found]
    )
    total: list[Array] = []
    count = 0
    for feeds in samples:
        fed = [tf.constant(feeds[s.name], dtype=s.dtype) for s in network.inputs]
        found = [np.asarray(m) for m in measure(*fed)]
        total = [a + b for a, b in zip(total, found, strict=True)] if total else found
        count += 1
    return {name: moment / count for name, moment in zip(tensors, total, strict=True)}
