"""Layer after layer is fitted to the teacher, by least squares on what it reads now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mlc.convert.graph import Body, Program
from mlc.convert.network import Network
from mlc.optimize.passes.linear import Linear, linears
from mlc.optimize.training.teacher import computed, hints

__all__ = ["refit"]

Array = np.ndarray[Any, np.dtype[Any]]

_RIDGE = 1e-3  # of the mean square of what is read: how much the weights are to stay as they are


def refit(student: Network, teacher: Network, samples: Iterable[Mapping[str, Array]]) -> Network:
    """The student with other weights and biases in matrix products and convolutions of 1 × 1.

    ::

        W, b := argmin ‖X W + b − Y‖² + λ‖ΔW‖²      X: what the student reads, Y: the teacher's result

    One layer after another, each on what those before it now yield, so that errors do not add up (He et
    al. 2017, section 3.2). Only layers whose channels are all there, as for `hints`.
    """
    told = hints(student, teacher)
    if not told:
        return student
    feeds = list(samples)
    program = Program.of(student)
    body = program.main
    for op in linears(body):
        name = computed(body, op)
        if name in told and _is_product(body, op):
            _fit(body, op, name, program.network(student), teacher, feeds)
    return program.network(student)


def _is_product(body: Body, op: Linear) -> bool:
    """Whether each row of what it reads, times a matrix, is a row of what it computes."""
    if op.node.op == "MatMul":
        return op.input_axis == 0
    steps = list(op.node.attr["strides"].list.i)
    return (
        op.node.op == "Conv2D"
        and body.constant_value(op.kernel).shape[:2] == (1, 1)
        and set(steps) == {1}
    )


def _fit(
    body: Body,
    op: Linear,
    name: str,
    student: Network,
    teacher: Network,
    samples: list[Mapping[str, Array]],
) -> None:
    values = body.constant_value(op.kernel)
    reader = body.nodes[name]
    bias = body.producer(reader.input[1]).name if reader.op == "BiasAdd" else None
    weights = values.reshape(values.shape[-2:]).astype(np.float64)
    if bias:
        weights = np.concatenate([weights, body.constant_value(bias)[np.newaxis]])
    squares, products = _products(student, op.data, teacher, name, bool(bias), samples)
    ridge = _RIDGE * max(float(np.trace(squares)) / len(squares), 1e-12)
    weights += np.linalg.solve(squares + ridge * np.eye(len(squares)), products - squares @ weights)
    fitted = weights.astype(np.float32)
    if bias:
        body.set_constant(bias, fitted[-1])
    body.set_constant(op.kernel, fitted[: values.shape[-2]].reshape(values.shape))


def _products(
    student: Network,
    reads: str,
    teacher: Network,
    computes: str,
    biased: bool,
    samples: list[Mapping[str, Array]],
) -> tuple[Array, Array]:
    """Mean over all rows of XᵀX and XᵀY, where X has a column of ones if there is a bias."""
    import tensorflow as tf

    specs = [tf.TensorSpec(s.shape, s.dtype) for s in student.inputs]

    def one(network: Network, reference: str, feeds: Any, prefix: str) -> Any:
        (found,) = tf.import_graph_def(
            tf.compat.v1.GraphDef.FromString(network.graph),
            input_map={f"{s.name}:0": t for s, t in zip(network.inputs, feeds, strict=True)},
            return_elements=[f"{reference}:0"],
            name=prefix,
        )
        return tf.reshape(found, [-1, tf.shape(found)[-1]])

    def products(*feeds: Any) -> Any:
        x, y = one(student, reads, feeds, "student"), one(teacher, computes, feeds, "teacher")
        if biased:
            x = tf.concat([x, tf.ones([tf.shape(x)[0], 1])], 1)
        rows = tf.cast(tf.shape(x)[0], tf.float32)
        return tf.matmul(x, x, transpose_a=True) / rows, tf.matmul(x, y, transpose_a=True) / rows

    call = tf.function(products, input_signature=specs, autograph=False)
    squares: Any = 0.0
    crossed: Any = 0.0
    for feeds in samples:
        found = call(*(tf.constant(feeds[s.name], dtype=s.dtype) for s in student.inputs))
        squares = squares + np.asarray(found[0], np.float64) / len(samples)
        crossed = crossed + np.asarray(found[1], np.float64) / len(samples)
    return squares, crossed
