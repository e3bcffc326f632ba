"""Linear ops: which axes of their weights are channels, and how a chain of affine ops acts on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc.convert.graph import Body, attribute

__all__ = ["Affine", "Linear", "affine", "linear", "linears"]

Array = np.ndarray[Any, np.dtype[Any]]

# op → position of its data, position of its weights, axes of the output channels, axis of the inputs'
_KINDS: dict[str, tuple[int, int, tuple[int, ...], int]] = {
    "Conv2D": (0, 1, (3,), 2),  # weights (height, width, in, out)
    "Conv3D": (0, 1, (4,), 3),
    "DepthwiseConv2dNative": (0, 1, (2, 3), 2),  # (height, width, in, multiplier)
    "Conv2DBackpropInput": (2, 1, (2,), 3),  # transposed convolution: (height, width, out, in)
    "Conv3DBackpropInputV2": (2, 1, (3,), 4),
    "MatMul": (0, 1, (1,), 0),  # (in, out)
}


@dataclass(frozen=True)
class Linear:
    """A convolution or matrix product with constant weights."""

    node: Any  # NodeDef
    data: str  # reference to what it is applied to
    kernel: str  # name of the constant
    output_axes: tuple[int, ...]
    input_axis: int
    shared: bool  # something else reads the weights too: they cannot be changed for this op alone

    @property
    def depthwise(self) -> bool:
        """Whether each output channel reads one input channel only."""
        return bool(self.node.op == "DepthwiseConv2dNative")


@dataclass(frozen=True)
class Affine:
    """y = scale · x + shift, per channel or the same for all; both broadcast over the last axis."""

    scale: Array
    shift: Array


def linears(body: Body) -> list[Linear]:
    """All linear ops of a graph, in the order of computation."""
    return [found for node in body.in_order() if (found := linear(body, node))]


def linear(body: Body, node: Any) -> Linear | None:
    """`node` as a linear op, or None if it is none, or its weights are not constant."""
    if node.op not in _KINDS:
        return None
    data, weights, outputs, inputs = _KINDS[node.op]
    if node.op == "MatMul":
        if attribute(node, "transpose_a").b:
            return None
        if attribute(node, "transpose_b").b:
            outputs, inputs = (0,), 1
    kernel = body.producer(node.input[weights])
    if kernel.op != "Const":
        return None
    if attribute(node, "data_format").s not in (b"", b"NHWC", b"NDHWC"):
        return None
    shared = len(body.consumers(kernel.name)) > 1
    return Linear(node, node.input[data], kernel.name, outputs, inputs, shared)


def affine(body: Body, node: Any) -> tuple[str, Affine] | None:
    """The op as an affine function of one tensor (its reference), or None.

    `Mul`, `RealDiv`, `AddV2`, `Sub`, `BiasAdd` with a constant that has one value, or one for each
    channel of the last axis; `FusedBatchNorm` with constant statistics.
    """
    if node.op.startswith("FusedBatchNorm"):
        return _batch_norm(body, node)
    if node.op not in ("Mul", "RealDiv", "AddV2", "Add", "Sub", "BiasAdd"):
        return None
    if attribute(node, "data_format").s not in (b"", b"NHWC"):
        return None
    sides = [body.value(i) for i in node.input]
    if node.op in ("Mul", "AddV2", "Add") and sides[0] is not None:
        x, value = node.input[1], sides[0]
    else:
        x, value = node.input[0], sides[1]
    if value is None or value.dtype != np.float32 or body.value(x) is not None:
        return None
    channels = _channels(body, x)
    vector = _as_vector(value, channels)
    same = body.shape(x) == body.shape(node.name)
    if vector is None or not same:
        return None
    zero, one = np.zeros_like(vector), np.ones_like(vector)
    if node.op == "Mul":
        return x, Affine(vector, zero)
    if node.op == "RealDiv":
        return (x, Affine(1 / vector, zero)) if (vector != 0).all() else None
    return x, Affine(one, -vector if node.op == "Sub" else vector)


def _batch_norm(body: Body, node: Any) -> tuple[str, Affine] | None:
    x, *rest = node.input
    gamma, beta, mean, variance = (body.value(i) for i in rest)
    if attribute(node, "is_training").b or attribute(node, "data_format").s not in (b"", b"NHWC"):
        return None
    if gamma is None or beta is None or mean is None or variance is None:
        return None
    scale = gamma.astype(np.float64) / np.sqrt(
        variance.astype(np.float64) + attribute(node, "epsilon").f
    )
    return x, Affine(scale, beta - mean * scale)


def _channels(body: Body, reference: str) -> int | None:
    shape = body.shape(reference)
    return shape[-1] if shape else None


def _as_vector(value: Array, channels: int | None) -> Array | None:
    """(channels,) or (1,) out of a constant that broadcasts over the last axis; None if it does not."""
    if value.size == 1:
        return value.reshape(1).astype(np.float64)
    if channels is not None and value.shape[-1] == channels == value.size:
        return value.reshape(-1).astype(np.float64)
    return None
