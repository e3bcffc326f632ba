"""Run the network on samples and find the range of every tensor that may become integers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mlc.convert.execute import function
from mlc.convert.graph import Program, tensor_name
from mlc.convert.network import Network
from mlc.errors import DataError
from mlc.optimize.passes.adapt_rounding import adaptable, windows
from mlc.optimize.plan import Plan
from mlc.optimize.ranges import Estimator, Histogram

__all__ = ["Samples", "calibrate", "channel_means", "second_moments"]

Array = np.ndarray[Any, np.dtype[Any]]
# Yields the network's input tensors, one batch at a time; every call starts again from the first.
Samples = Callable[[], Iterable[Mapping[str, Array]]]

_BINS = 2048
_POSITIONS = 64  # of a tensor and a sample that count for its moments
_LOOKED_AT = 16_384  # values of a tensor and a sample that its histogram counts, evenly spread


def calibrate(
    network: Network, tensors: Sequence[str], samples: Samples, estimator: Estimator
) -> tuple[dict[str, Histogram], int]:
    """Least and greatest value of each tensor over all samples, and what lies between.

    `tensors` name nodes of the main graph with a float output. The ends are exact. Only the estimators
    that look at more than the ends get counts, in a second pass. Memory does not grow with the number of
    samples: the graph itself reduces each tensor to its ends or its histogram.

    Returns the histograms by name, and how many batches were read. Raises `DataError` where there
    is none.
    """
    ends = np.full((len(tensors), 2), [np.inf, -np.inf], np.float32)
    measure = _reduced(network, tensors, _both_ends)
    count = 0
    for feeds in samples():
        found = np.array(measure(feeds)).reshape(-1, 2)
        ends[:, 0] = np.minimum(ends[:, 0], found[:, 0])
        ends[:, 1] = np.maximum(ends[:, 1], found[:, 1])
        count += 1
    if not count:
        raise _no_samples()
    counts = np.zeros((len(tensors), 0), np.int64)
    if estimator != "min-max":
        counts = np.zeros((len(tensors), _BINS), np.int64)
        measure = _reduced(network, tensors, lambda i, x: _counts(x, ends[i]))
        for feeds in samples():
            counts += np.array(measure(feeds))
    return {
        name: Histogram(float(low), float(high), row)
        for name, (low, high), row in zip(tensors, ends, counts, strict=True)
    }, count


def channel_means(network: Network, tensors: Sequence[str], samples: Samples) -> dict[str, Array]:
    """The mean of each channel (last axis) of each tensor over all samples: (channels,) by name.

    Raises `DataError` where there is no sample.
    """
    import tensorflow as tf

    def mean(_: int, tensor: Any) -> Any:
        return tf.reduce_mean(tensor, axis=list(range(tensor.shape.rank - 1)))

    measure = _reduced(network, tensors, mean)
    found = [measure(feeds) for feeds in samples()]
    if not found:
        raise _no_samples()
    return {
        name: np.mean(rows, axis=0, dtype=np.float64)
        for name, rows in zip(tensors, zip(*found, strict=True), strict=True)
    }


def second_moments(network: Network, plan: Plan, samples: Samples) -> dict[str, Array]:
    """E[x·xᵀ] of what each op multiplies its weights with, over all samples, for `adapt_rounding`.

    By the name of the weights: (groups, inputs, inputs) float32. Of a sample at most 64 positions count,
    evenly spread. Raises `DataError` where there is no sample.
    """
    import tensorflow as tf

    body = Program.of(network).main
    ops = adaptable(body, plan)

    def moment(i: int, tensor: Any) -> Any:
        rows = windows(body, ops[i], tensor)
        rows = rows[:, :: tf.maximum(tf.shape(rows)[1] // _POSITIONS, 1)]
        count = tf.cast(tf.shape(rows)[1], tf.float32)
        return tf.matmul(rows, rows, transpose_a=True) / count

    measure = _reduced(network, [op.data for op in ops], moment)
    sums: list[Array] = []
    count = 0
    for feeds in samples():
        found = measure(feeds)
        sums = [total + one for total, one in zip(sums, found, strict=True)] if sums else found
        count += 1
    if not count:
        raise _no_samples()
    return {op.kernel: total / count for op, total in zip(ops, sums, strict=True)}


def _no_samples() -> DataError:
    return DataError("There are no samples to calibrate on.", "Check --data.")


def _both_ends(_: int, tensor: Any) -> Any:
    import tensorflow as tf

    return tf.stack([tf.reduce_min(tensor), tf.reduce_max(tensor)])


def _counts(tensor: Any, ends: Array) -> Any:
    import tensorflow as tf

    flat = tf.reshape(tensor, [-1])
    stride = tf.maximum(tf.size(flat) // _LOOKED_AT, 1)
    usable = np.isfinite(ends).all() and ends[0] < ends[1]
    return tf.histogram_fixed_width(flat[::stride], ends if usable else [0.0, 1.0], _BINS)


def _reduced(
    network: Network, tensors: Sequence[str], reduce: Callable[[int, Any], Any]
) -> Callable[[Mapping[str, Array]], list[Array]]:
    """A function from input tensors to what `reduce` makes of each of `tensors`."""
    import tensorflow as tf

    reduced = function(
        network,
        [tensor_name(name) for name in tensors],
        lambda found: [reduce(i, tensor) for i, tensor in enumerate(found)],
    )

    def measure(feeds: Mapping[str, Array]) -> list[Array]:
        fed = [tf.constant(feeds[s.name], dtype=s.dtype) for s in network.inputs]
        return [np.asarray(result) for result in reduced(*fed)]

    return measure
