"""Adaptive rounding: round weights so that what linear ops compute with them changes least."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mlc.convert.graph import Body, Program, attribute
from mlc.optimize.palette import nearest, palette
from mlc.optimize.passes.linear import Linear, linears
from mlc.optimize.plan import Plan, Weight

__all__ = ["adapt_rounding", "adaptable", "windows"]

Array = np.ndarray[Any, np.dtype[Any]]

_MOST = 2304  # inputs of one output: the moments of more would take more memory than they are worth
_DAMPING = 0.01  # of the mean variance, so that inputs that are always alike can be told apart
_BLOCK = 64
_KINDS = ("Conv2D", "DepthwiseConv2dNative", "MatMul")


def adaptable(body: Body, plan: Plan) -> list[Linear]:
    """The ops whose weights `adapt_rounding` can round: moments of the others take too much memory."""
    found = []
    for op in linears(body):
        weight = plan.weight.get(op.kernel)
        planned = weight is not None and weight.scheme != "float" and not op.shared
        if planned and op.node.op in _KINDS and _has_windows(body, op):
            found.append(op)
    return found


def _has_windows(body: Body, op: Linear) -> bool:
    """Whether `windows` knows the op, no convolution of groups or with uneven padding, of few inputs."""
    kernel = body.constant_value(op.kernel)
    if op.node.op != "MatMul":
        shape = body.shape(op.data)
        explicit = attribute(op.node, "padding").s == b"EXPLICIT"
        if explicit or shape is None or shape[-1] != kernel.shape[2]:
            return False
    return bool(_grouped(op, kernel).shape[2] <= _MOST)


def windows(body: Body, op: Linear, data: Any) -> Any:
    """What the op multiplies its weights with: (groups, positions, inputs), of its input `data`.

    A group is an input channel of a depthwise convolution; all others have one.
    """
    import tensorflow as tf

    if op.node.op == "MatMul":
        return data[tf.newaxis]
    height, width, channels, _ = body.constant_value(op.kernel).shape
    patches = tf.image.extract_patches(
        data,
        sizes=[1, height, width, 1],
        strides=list(attribute(op.node, "strides").list.i),
        rates=list(attribute(op.node, "dilations").list.i) or [1, 1, 1, 1],
        padding=attribute(op.node, "padding").s.decode(),
    )
    if not op.depthwise:
        return tf.reshape(patches, [1, -1, height * width * channels])
    split = tf.reshape(patches, [-1, height * width, channels])
    return tf.transpose(split, [2, 0, 1])


def adapt_rounding(program: Program, plan: Plan, moments: Mapping[str, Array]) -> None:
    """Move every weight to the value that it is stored as, chosen for the op's output.

    ::

        Before:  x ─► Conv2D(w) ─► …

        After:   x ─► Conv2D(w̃) ─► …         w̃ on the plan's grid, or in its palette

    Inputs are correlated: what the rounding of one weight adds, those that are rounded after it can take
    back. Weights are rounded one input at a time, and the error is spread over the rest by the inverse of
    the second moments E[x·xᵀ], which is optimal for each step (GPTQ, Frantar et al. 2023; the inputs with
    the largest moments go first). The means of the inputs are part of the moments, so biases need no
    correction. `moments` holds them by the name of the op's weights, (groups, inputs, inputs) each.

    Requires: the plan is of this network. Ensures: the plan's scales, and a palette that is made of the
    new values, hold them exactly; weights that are 0 stay 0 where a 0 can be stored.
    """
    body = program.main
    for op in linears(body):
        if op.kernel in moments:
            values = body.constant_value(op.kernel)
            grouped = _grouped(op, values)
            stored = _storage(op, values, plan.weight[op.kernel], plan)
            rounded = _round(grouped, moments[op.kernel], stored)
            body.set_constant(op.kernel, _ungrouped(op, rounded, values))


def _round(weights: Array, moments: Array, stored: Callable[[Array], Array]) -> Array:
    """Both (groups, outputs, inputs); `stored` is asked for one input at a time."""
    groups, _, inputs = weights.shape
    spread = moments.astype(np.float64)
    diagonal = np.einsum("gii->gi", spread)
    damping = _DAMPING * diagonal.mean(axis=1, keepdims=True) + 1e-12
    order = np.argsort(-diagonal.sum(axis=0), kind="stable")
    spread[:, range(inputs), range(inputs)] += damping
    spread = spread[:, order][:, :, order]
    # Rows of the upper Cholesky factor of the inverse say how each error spreads over what is left.
    factor = np.linalg.cholesky(np.linalg.inv(spread)).transpose(0, 2, 1)
    left = weights[:, :, order].astype(np.float64)
    result = np.empty_like(left)
    for start in range(0, inputs, _BLOCK):
        end = min(start + _BLOCK, inputs)
        errors = np.empty((groups, weights.shape[1], end - start))
        for i in range(start, end):
            pruned = weights[:, :, order[i]] == 0
            result[:, :, i] = stored(np.where(pruned, 0, left[:, :, i]))
            errors[:, :, i - start] = (left[:, :, i] - result[:, :, i]) / factor[:, i, i, None]
            left[:, :, i:end] -= errors[:, :, i - start, None] * factor[:, None, i, i:end]
        left[:, :, end:] -= errors @ factor[:, start:end, end:]
    back = np.empty_like(order)
    back[order] = np.arange(inputs)
    rounded: Array = result[:, :, back].astype(np.float32)
    return rounded


def _storage(op: Linear, values: Array, weight: Weight, plan: Plan) -> Callable[[Array], Array]:
    """What numbers (groups, outputs) become when they are stored as planned."""
    if weight.scheme == "palette":
        table, _ = palette(values, weight.bits, plan.recipe.palette)
        return lambda column: table[nearest(table, column)]
    groups, outputs, _ = _grouped(op, values).shape
    scale = np.asarray(weight.scale, np.float64).reshape(
        (groups, outputs) if weight.axes else (1, 1)
    )
    most = 2 ** (weight.bits - 1) - 1
    return lambda column: np.clip(np.rint(column / scale), -most, most) * scale


def _grouped(op: Linear, values: Array) -> Array:
    """The weights as (groups, outputs, inputs)."""
    if op.node.op == "MatMul":
        return (values if op.input_axis else values.T)[np.newaxis]
    height, width, channels, outputs = values.shape
    if op.depthwise:
        return values.transpose(2, 3, 0, 1).reshape(channels, outputs, height * width)
    return values.reshape(1, -1, outputs).transpose(0, 2, 1)


def _ungrouped(op: Linear, grouped: Array, like: Array) -> Array:
    """What `_grouped` was made of, of the shape of `like`."""
    if op.node.op == "MatMul":
        whole: Array = grouped[0]
        return whole if op.input_axis else whole.T
    height, width, channels, outputs = like.shape
    split = (channels, outputs, height, width)
    order = (2, 3, 0, 1) if op.depthwise else (0, 2, 1)
    moved: Array = (grouped.reshape(split) if op.depthwise else grouped).transpose(order)
    return moved.reshape(like.shape)
