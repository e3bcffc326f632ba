"""MIL `normalization`."""

from __future__ import annotations

import numpy as np

from mlc.targets.coreml.evaluator.lowering import Call, Graph, lowers

__all__: list[str] = []


def _channels(op: Call) -> int:
    channels = op["x"].type.shape[1]
    if channels is None:
        raise op.unsupported("x", "its number of channels is open")
    return channels


def _gamma_beta(graph: Graph, op: Call) -> tuple[str, str]:
    """Scale and offset per channel, ones and zeros where absent."""
    count = _channels(op)
    gamma = op.tensor("gamma") or graph.constant(np.ones(count, np.float32))
    beta = op.tensor("beta") or graph.constant(np.zeros(count, np.float32))
    return gamma, beta


@lowers("batch_norm", "x", "mean", "variance", gamma=None, beta=None, epsilon=1e-5)
def batch_norm(graph: Graph, op: Call) -> str:
    """Gives gamma · (x - mean) / √(variance + epsilon) + beta, per channel (axis 1)."""
    return graph.node(
        "BatchNormalization",
        op.tensor("x"),
        *_gamma_beta(graph, op),
        op.tensor("mean"),
        op.tensor("variance"),
        epsilon=op.number("epsilon"),
    )


@lowers("instance_norm", "x", gamma=None, beta=None, epsilon=1e-5)
def instance_norm(graph: Graph, op: Call) -> str:
    """Normalize each channel of each sample by its own mean and variance."""
    return graph.node(
        "InstanceNormalization",
        op.tensor("x"),
        *_gamma_beta(graph, op),
        epsilon=op.number("epsilon"),
    )


@lowers("layer_norm", "x", axes=None, gamma=None, beta=None, epsilon=1e-5)
def layer_norm(graph: Graph, op: Call) -> str:
    """Gives gamma · (x - mean) / √(variance + epsilon) + beta over any axes (default: all).

    gamma and beta have the shape of x restricted to those axes. The variance is that of the
    differences, not E[x²] - E[x]², which cancels where the mean is large.
    """
    shape = op["x"].type.shape
    axes = sorted(op.axes("axes", len(shape)) or range(len(shape)))
    over = graph.ints(axes)
    x = op.tensor("x")
    centred = graph.node("Sub", x, graph.node("ReduceMean", x, over, keepdims=1))
    variance = graph.node("ReduceMean", graph.node("Mul", centred, centred), over, keepdims=1)
    deviation = graph.node("Sqrt", graph.node("Add", variance, op.scalar("epsilon")))
    result = graph.node("Div", centred, deviation)
    for parameter, kind in (("gamma", "Mul"), ("beta", "Add")):
        if parameter in op:
            values = np.asarray(op.constant(parameter))
            sizes = iter(values.shape)
            spread = [next(sizes) if axis in axes else 1 for axis in range(len(shape))]
            result = graph.node(kind, result, graph.constant(values.reshape(spread)))
    return result


@lowers("l2_norm", "x", epsilon=1e-6)
def l2_norm(graph: Graph, op: Call) -> str:
    """Gives x / √(Σ x² + epsilon), the sum going over the last three axes."""
    x = op.tensor("x")
    squares = graph.node("ReduceSumSquare", x, graph.ints([-3, -2, -1]), keepdims=1)
    return graph.node(
        "Div", x, graph.node("Sqrt", graph.node("Add", squares, op.scalar("epsilon")))
    )


@lowers("local_response_norm", "x", "size", alpha=1e-4, beta=0.75, k=1.0)
def local_response_norm(graph: Graph, op: Call) -> str:
    """Gives x / (k + alpha / size · Σ x²)^beta, the sum going over `size` neighbouring channels.

    Of [channels, height, width] and [n, channels, length] the documentation says the latter, and Apple's
    test of the op expects the former: only rank 4 is certain.
    """
    if op.integer("size") % 2 == 0:
        raise op.unsupported("size", "MIL does not say which side an even window leans to")
    if op["x"].type.rank != 4:
        raise op.unsupported("x", "MIL does not say which axis has the channels if rank is not 4")
    return graph.node(
        "LRN", op.tensor("x"), size=op.integer("size"), alpha=op.number("alpha"),
        beta=op.number("beta"), bias=op.number("k"),
    )  # fmt: skip
