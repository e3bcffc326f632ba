"""What removed channels told, told by those that stay: least squares on samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mlc.convert.graph import Body
from mlc.convert.network import Network
from mlc.optimize.passes.linear import Linear, linears
from mlc.optimize.training.channels import Channels, kept

__all__ = ["reconstruct"]

Array = np.ndarray[Any, np.dtype[Any]]

# Of the mean variance: channels that are copies of each other have no unique solution.
_RIDGE = 1e-4
_WIDEST = 4096


def reconstruct(
    network: Network,
    body: Body,
    channels: Channels,
    gone: set[int],
    samples: Iterable[Mapping[str, Array]],
) -> None:
    """Change what reads removed channels so that its output stays as near as it can.

    ::

        X_gone ≈ X_kept · B + c        over all samples and positions (He et al. 2017, section 3.1)
        W_kept := W_kept + B · W_gone        bias := bias + c · Σ W_gone

    `body` is that of the network, before channels are cut. Where the reader has no bias, c is 0. A
    convolution that pads sees c at its border too; only there it is inexact. Readers of very many
    channels, as behind a flattened picture, stay as they are: B would be larger than the network.
    """
    ids = {s.constant: s.ids for s in channels.slices if s.role == "in"}
    readers = [op for op in linears(body) if op.kernel in ids and len(ids[op.kernel]) <= _WIDEST]
    moments = _moments(network, sorted({op.data for op in readers}), samples)
    for op in readers:
        stay = kept(channels, ids[op.kernel], gone)
        leave = np.setdiff1d(np.arange(len(ids[op.kernel])), stay)
        if len(leave):
            _absorb(body, op, stay, leave, moments[op.data])


def _absorb(body: Body, op: Linear, stay: Array, leave: Array, moment: Array) -> None:
    reader = body.only_reader(op.node.name)
    bias = body.value(reader.input[1]) if reader is not None and reader.op == "BiasAdd" else None
    gram, mean = moment[:-1, :-1], moment[-1, :-1]
    if bias is None:
        mean = np.zeros_like(mean)
    covariance = gram - np.outer(mean, mean)
    among = covariance[np.ix_(stay, stay)]
    ridge = _RIDGE * max(float(np.trace(among)) / len(stay), 1e-12)
    told = np.linalg.solve(among + ridge * np.eye(len(stay)), covariance[np.ix_(stay, leave)])
    rest = mean[leave] - mean[stay] @ told

    weights = np.moveaxis(body.constant_value(op.kernel).astype(np.float64), op.input_axis, 0)
    lost = weights[leave]
    weights[stay] += np.tensordot(told, lost, 1)
    changed = np.moveaxis(weights, 0, op.input_axis)
    body.set_constant(op.kernel, np.ascontiguousarray(changed, np.float32))
    if bias is not None:
        outputs = op.output_axes[0] - (op.input_axis < op.output_axes[0]) + 1
        summed = np.tensordot(rest, lost, 1)
        others = tuple(i for i in range(summed.ndim) if i != outputs - 1)
        added = (bias + summed.sum(axis=others)).astype(np.float32)
        body.set_constant(body.producer(reader.input[1]).name, added)


def _moments(
    network: Network, tensors: Sequence[str], samples: Iterable[Mapping[str, Array]]
) -> dict[str, Array]:
    """Second moments of the last axis of each tensor, with a 1 appended: (C + 1, C + 1), float64.

    So the last row holds the means. Over all samples and positions.
    """
    import tensorflow as tf

    graph_def = tf.compat.v1.GraphDef.FromString(network.graph)

    def moments() -> Any:
        found = tf.import_graph_def(
            graph_def, return_elements=[f"{name}:0" for name in tensors], name=""
        )
        for k, tensor in enumerate(found):
            rows = tf.reshape(tensor, [-1, tf.shape(tensor)[-1]])
            rows = tf.concat([rows, tf.ones([tf.shape(rows)[0], 1])], 1)
            count = tf.cast(tf.shape(rows)[0], tf.float32)
            tf.identity(tf.matmul(rows, rows, transpose_a=True) / count, name=f"mlc_moment_{k}")

    function = tf.compat.v1.wrap_function(moments, []).prune(
        [f"{s.name}:0" for s in network.inputs], [f"mlc_moment_{k}:0" for k in range(len(tensors))]
    )
    total: list[Array] = []
    count = 0
    for feeds in samples:
        fed = [tf.constant(feeds[s.name], dtype=s.dtype) for s in network.inputs]
        found = [np.asarray(m, np.float64) for m in function(*fed)]
        total = [a + b for a, b in zip(total, found, strict=True)] if total else found
        count += 1
    return {name: moment / count for name, moment in zip(tensors, total, strict=True)}
