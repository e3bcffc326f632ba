"""A scale and shift per channel in front of a linear op → its weights and bias."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlc.convert.graph import Body, Program, attribute
from mlc.optimize.passes.linear import Affine, Linear, affine, linear, linears

__all__ = ["fold_input_scale", "scale_inputs"]


def fold_input_scale(program: Program) -> None:
    """Multiply the weights of the input channels by the scale; what was added becomes a bias.

    ::

        Before:  x ─► Mul(s) ─► AddV2(t) ─► Conv2D(w, VALID) ─► y

        After:   x ─► Conv2D(w·s) ─► BiasAdd(Σ w·t) ─► y

    Where a convolution pads with zeros the border would see `t` as 0: there only a scale is folded.
    What is the bias of a linear op already stays: it costs nothing there, and `correct_bias` needs it.
    Requires: folded constants, no identities. Ensures: nothing else; it is undone by nothing.
    """
    for body in program.bodies():
        for op in linears(body):
            while _absorb(body, op.node.name):
                pass


def _absorb(body: Body, name: str) -> bool:
    """Fold the op in front of the linear op of that name; False where there is nothing to fold."""
    op = linear(body, body.nodes[name])
    if op is None or op.shared or ":" in op.data:
        return False
    before = body.nodes[op.data]
    step = affine(body, before)
    if step is None or body.only_reader(before.name) is None or _is_bias(body, before):
        return False
    x, change = step
    weights = body.constant_value(op.kernel)
    shifts = (change.shift != 0).any()
    if shifts and not _sees_every_input(op):
        return False
    position = list(op.node.input).index(op.data)
    op.node.input[position] = x
    if shifts:
        _add_bias(body, op, change, weights)
    scale_inputs(body, op, np.broadcast_to(change.scale, weights.shape[op.input_axis]))
    body.prune()
    return True


def _is_bias(body: Body, node: Any) -> bool:
    """Whether it is what `fold_batch_norm` leaves behind a linear op."""
    return node.op == "BiasAdd" and linear(body, body.producer(node.input[0])) is not None


def _sees_every_input(op: Linear) -> bool:
    """Whether a shift of the inputs shifts every output by the same: no zeros are padded in."""
    if op.node.op == "MatMul":
        return True
    return op.node.op in ("Conv2D", "DepthwiseConv2dNative") and (
        attribute(op.node, "padding").s == b"VALID"
    )


def _add_bias(body: Body, op: Linear, change: Affine, weights: np.ndarray) -> None:  # type: ignore[type-arg]
    shape = [1] * weights.ndim
    shape[op.input_axis] = weights.shape[op.input_axis]
    shift = np.broadcast_to(change.shift, weights.shape[op.input_axis]).reshape(shape)
    others = tuple(i for i in range(weights.ndim) if i not in op.output_axes)
    bias = (weights.astype(np.float64) * shift).sum(axis=others).reshape(-1)
    reader = body.only_reader(op.node.name)
    if reader is not None and reader.op == "BiasAdd":
        constant = body.value(reader.input[1])
        if constant is not None:
            joined = body.add_constant(f"{reader.name}/bias", (constant + bias).astype(np.float32))
            reader.input[1] = joined
            return
    added = body.insert_after(op.node.name, "BiasAdd", bias.astype(np.float32))
    added.attr["T"].type = op.node.attr["T"].type


def scale_inputs(body: Body, op: Linear, factor: np.ndarray) -> None:  # type: ignore[type-arg]
    """Multiply what a linear op makes of each input channel by `factor`, (channels,), in its weights."""
    weights = body.constant_value(op.kernel)
    shape = [1] * weights.ndim
    shape[op.input_axis] = weights.shape[op.input_axis]
    scaled = weights.astype(np.float64) * np.asarray(factor, np.float64).reshape(shape)
    body.set_constant(op.kernel, scaled.astype(weights.dtype))
