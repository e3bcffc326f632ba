"""What a student is taught: the scores in front of a softmax or sigmoid, elsewhere the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mlc.convert.graph import Body, Program, tensor_name
from mlc.convert.network import Network
from mlc.errors import UsageError

__all__ = ["Score", "agreement", "distillation", "ending", "scores"]

Array = np.ndarray[Any, np.dtype[Any]]

# What may stand between a softmax and the output it makes; a FakeQuant where rounding is simulated.
_PASSES = ("Identity", "Reshape", "Squeeze", "ExpandDims", "FakeQuantWithMinMaxArgs")


@dataclass(frozen=True)
class Score:
    """One tensor of the network, and how it is compared with the teacher's."""

    reference: str
    kind: Literal["softmax", "sigmoid", "values"]
    classes: bool  # whether the greatest along the last axis is the answer


def scores(network: Network) -> list[Score]:
    """One for each float output; raises `UsageError` where there is none.

    Gradients through a saturated softmax vanish, and its logarithm is imprecise: students are compared
    before it.
    """
    body = Program.of(network).main
    found = []
    for spec in network.outputs:
        if not spec.dtype.startswith("float"):
            continue
        node = ending(body, spec.name)
        if node.op in ("Softmax", "Sigmoid"):
            reference = node.input[0]
            kind: Literal["softmax", "sigmoid"] = "softmax" if node.op == "Softmax" else "sigmoid"
            found.append(Score(tensor_name(reference), kind, node.op == "Softmax"))
        else:
            found.append(Score(tensor_name(spec.name), "values", network.is_classifier))
    if not found:
        raise UsageError(
            "The network cannot be trained: none of its outputs is a float.",
            "Leave out --prune, --prune-channels, --cluster and --qat.",
        )
    return found


def ending(body: Body, name: str) -> Any:
    """The node that makes an output, behind what only passes it on."""
    node = body.nodes[name]
    while node.op in _PASSES and ":" not in node.input[0]:
        node = body.nodes[node.input[0]]
    return node


def distillation(
    kinds: Sequence[Score],
    student: Sequence[Any],
    teacher: Sequence[Any],
    spans: Sequence[float],
    labels: Any = None,
    weight: float = 0.0,
) -> Any:
    """How far the student is from the teacher: (N,), summed over the outputs (Hinton et al. 2015).

    Kullback-Leibler divergence for softmax and sigmoid, else the squared error in units of the teacher's
    own variance, `spans`. `labels` are class indices (N,), −1 where there is none; their cross entropy
    has this `weight`, the teacher's opinion the rest.
    """
    import tensorflow as tf

    total = tf.zeros(tf.shape(student[0])[:1])
    for score, s, t, span in zip(kinds, student, teacher, spans, strict=True):
        if score.kind == "softmax":
            p = tf.nn.softmax(t)
            each = tf.nn.softmax_cross_entropy_with_logits(p, s)
            each -= tf.nn.softmax_cross_entropy_with_logits(p, t)
        elif score.kind == "sigmoid":
            p = tf.sigmoid(t)
            each = tf.nn.sigmoid_cross_entropy_with_logits(p, s)
            each -= tf.nn.sigmoid_cross_entropy_with_logits(p, t)
        else:
            each = (s - t) ** 2 / max(span, 1e-12)
        total += tf.reduce_mean(tf.reshape(each, [tf.shape(each)[0], -1]), axis=1)
    if labels is not None and weight:
        total = (1 - weight) * total + weight * _of_labels(kinds[0], student[0], labels)
    return total


def _of_labels(score: Score, student: Any, labels: Any) -> Any:
    import tensorflow as tf

    known, flat = tf.maximum(labels, 0), tf.reshape(student, [tf.shape(student)[0], -1])
    if score.kind == "sigmoid":
        each = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(known, tf.float32), flat[:, 0])
    else:
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(known, flat)
    return tf.where(labels >= 0, each, 0.0)


def agreement(kinds: Sequence[Score], student: Sequence[Any], teacher: Sequence[Any]) -> Any:
    """Share of equal answers per sample: (N,) in 0..1; None where no output is an answer."""
    import tensorflow as tf

    shares = []
    for score, s, t in zip(kinds, student, teacher, strict=True):
        if score.kind == "sigmoid":
            same = tf.equal(s > 0, t > 0)
        elif score.classes:
            same = tf.equal(tf.argmax(s, -1), tf.argmax(t, -1))
        else:
            continue
        same = tf.cast(same, tf.float32)
        shares.append(tf.reduce_mean(tf.reshape(same, [tf.shape(same)[0], -1]), axis=1))
    return tf.add_n(shares) / len(shares) if shares else None
