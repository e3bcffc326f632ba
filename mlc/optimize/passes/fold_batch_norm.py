"""BatchNorm, and any scale and shift per channel, behind a linear op → its weights and bias."""

from __future__ import annotations

import numpy as np

from mlc.convert.graph import Body, Program
from mlc.optimize.passes.linear import Affine, Linear, affine, linears

__all__ = ["fold_batch_norm", "scale_outputs"]


def fold_batch_norm(program: Program) -> None:
    """Multiply the weights by the scale; what is added becomes one bias.

    ::

        Before:  x ─► Conv2D(w) ─► BiasAdd(b) ─► FusedBatchNorm(γ, β, μ, σ²) ─► y

        After:   x ─► Conv2D(w·γ/σ) ─► BiasAdd((b − μ)·γ/σ + β) ─► y

    Convolutions, depthwise and transposed ones, and products of matrices; BatchNorm as one op (Keras 2)
    or as `Mul` and `AddV2` (Keras 3), and any number of such ops in a row (Jacob et al. 2018, section
    3.2). Requires: folded constants, no identities. Ensures: what follows a linear op is at most one
    `BiasAdd` per channel, unless something else reads the values between.
    """
    for body in program.bodies():
        for op in linears(body):
            if not op.shared:
                _absorb(body, op)
        body.prune()


def _absorb(body: Body, op: Linear) -> None:
    total = Affine(np.ones(1), np.zeros(1))
    last = op.node
    folded = 0
    while (reader := body.only_reader(last.name)) is not None:
        step = affine(body, reader)
        if step is None or step[0].split(":")[0] != last.name:
            break
        total = Affine(total.scale * step[1].scale, total.shift * step[1].scale + step[1].shift)
        last, folded = reader, folded + 1
    channels = body.shape(op.node.name)
    if not folded or not channels or channels[-1] is None:
        return
    if folded == 1 and last.op == "BiasAdd":
        return  # already what this pass leaves behind
    if (total.scale != 1).any():
        scale_outputs(body, op, np.broadcast_to(total.scale, channels[-1]))
    shift = np.broadcast_to(total.shift, channels[-1]).astype(np.float32)
    bias = body.add_constant(f"{last.name}/bias", shift)
    body.become(last, "BiasAdd", [op.node.name, bias])


def scale_outputs(body: Body, op: Linear, factor: np.ndarray) -> None:  # type: ignore[type-arg]
    """Multiply the output channels of a linear op by `factor`, (channels,), in its weights."""
    weights = body.constant_value(op.kernel)
    shape = [1] * weights.ndim
    for axis in op.output_axes:
        shape[axis] = weights.shape[axis]
    scaled = weights.astype(np.float64) * np.asarray(factor, np.float64).reshape(shape)
    body.set_constant(op.kernel, scaled.astype(weights.dtype))
