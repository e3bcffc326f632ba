"""Bias correction: take back what rounding the weights adds to the mean of each output channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlc.convert.graph import Body, Program
from mlc.optimize.passes.linear import Linear, linears
from mlc.optimize.plan import Plan
from mlc.optimize.rounding import rounded

__all__ = ["correct_bias"]

Array = np.ndarray[Any, np.dtype[Any]]


def correct_bias(program: Program, plan: Plan, means: Mapping[str, Array]) -> None:
    """Add (w − w̃)·E[x] to the bias behind each linear op whose weights are rounded to w̃.

    ::

        Before:  x ─► Conv2D(w) ─► BiasAdd(b) ─► …

        After:   x ─► Conv2D(w) ─► BiasAdd(b + (w − w̃)·E[x]) ─► …

    Rounding moves every output of a channel to the same side, which a shift undoes (Nagel et al. 2019,
    section 4.2). `means` holds E[x] per channel, (channels,), of the tensors that linear ops read. Zeros
    that a convolution pads with are counted as means: at the border the correction is too large.
    Requires: equalized channels where they differ much. Ensures: weights are as they were.
    """
    body = program.main
    for op in linears(body):
        weight, mean = plan.weight.get(op.kernel), means.get(op.data)
        reader = body.only_reader(op.node.name)
        if weight is None or weight.scheme == "float" or mean is None or reader is None:
            continue
        if reader.op == "BiasAdd" and (bias := body.value(reader.input[1])) is not None:
            values = body.constant_value(op.kernel)
            lost = values - rounded(values, weight, plan.recipe)
            if not lost.any():
                continue
            name = body.add_constant(
                f"{reader.name}/corrected", bias + _moved(body, op, lost, mean)
            )
            reader.input[1] = name
    body.prune()


def _moved(body: Body, op: Linear, lost: Array, mean: Array) -> Array:
    """What `lost` weights make of the mean input: (output channels,) float32."""
    shape = [1] * lost.ndim
    shape[op.input_axis] = len(mean)
    others = tuple(i for i in range(lost.ndim) if i not in op.output_axes)
    shift: Array = (lost * mean.reshape(shape)).sum(axis=others).reshape(-1).astype(np.float32)
    return shift
