"""MIL `activation`."""

from __future__ import annotations

import math

import numpy as np

from mlc.targets.coreml.evaluator.lowering import Call, Graph, lowers

__all__: list[str] = []


@lowers("relu", "x", exact=True, commutes=True)
def relu(graph: Graph, op: Call) -> str:
    """max(x, 0)."""
    return graph.node("Relu", op.tensor("x"))


@lowers("relu6", "x", exact=True, commutes=True)
def relu6(graph: Graph, op: Call) -> str:
    """min(max(x, 0), 6)."""
    return graph.node(
        "Clip", op.tensor("x"), graph.constant(np.float32(0)), graph.constant(np.float32(6))
    )


@lowers("sigmoid", "x")
def sigmoid(graph: Graph, op: Call) -> str:
    """1 / (1 + exp(-x))."""
    return graph.node("Sigmoid", op.tensor("x"))


@lowers("silu", "x")
def silu(graph: Graph, op: Call) -> str:
    """Gives x · sigmoid(x)."""
    x = op.tensor("x")
    return graph.node("Mul", x, graph.node("Sigmoid", x))


@lowers("softplus", "x")
def softplus(graph: Graph, op: Call) -> str:
    """ln(1 + exp(x))."""
    return graph.node("Softplus", op.tensor("x"))


@lowers("softplus_parametric", "x", "alpha", "beta")
def softplus_parametric(graph: Graph, op: Call) -> str:
    """Gives alpha · ln(1 + exp(beta · x)), alpha and beta given per channel (axis 1)."""
    scaled = graph.node("Mul", op.tensor("x"), _per_channel(graph, op, "beta"))
    return graph.node("Mul", graph.node("Softplus", scaled), _per_channel(graph, op, "alpha"))


def _per_channel(graph: Graph, op: Call, parameter: str) -> str:
    rank = op["x"].type.rank
    values = np.asarray(op.constant(parameter))
    return graph.constant(values.reshape(-1, *(1,) * (rank - 2)) if values.size > 1 else values)


@lowers("softsign", "x")
def softsign(graph: Graph, op: Call) -> str:
    """Gives x / (1 + |x|)."""
    return graph.node("Softsign", op.tensor("x"))


@lowers("softmax", "x", axis=-1)
def softmax(graph: Graph, op: Call) -> str:
    """exp(x - max) / Σ exp(x - max) along an axis."""
    return graph.node("Softmax", op.tensor("x"), axis=op.integer("axis"))


@lowers("elu", "x", "alpha")
def elu(graph: Graph, op: Call) -> str:
    """Gives x where x > 0, else alpha · (exp(x) - 1)."""
    return graph.node("Elu", op.tensor("x"), alpha=op.number("alpha"))


@lowers("leaky_relu", "x", "alpha")
def leaky_relu(graph: Graph, op: Call) -> str:
    """Gives x where x ≥ 0, else alpha · x."""
    return graph.node("LeakyRelu", op.tensor("x"), alpha=op.number("alpha"))


@lowers("prelu", "x", "alpha")
def prelu(graph: Graph, op: Call) -> str:
    """Gives x where x > 0, else alpha · x, with one alpha per channel (axis 1)."""
    return graph.node("PRelu", op.tensor("x"), _per_channel(graph, op, "alpha"))


@lowers("clamped_relu", "x", "alpha", "beta")
def clamped_relu(graph: Graph, op: Call) -> str:
    """min(beta, x) where x ≥ 0, else min(beta, alpha · x)."""
    leaky = graph.node("LeakyRelu", op.tensor("x"), alpha=op.number("alpha"))
    return graph.node("Min", leaky, op.scalar("beta"))


@lowers("thresholded_relu", "x", "alpha")
def thresholded_relu(graph: Graph, op: Call) -> str:
    """Gives x where x ≥ alpha, else 0. (ONNX's op of that name wants x > alpha.)"""
    x = op.tensor("x")
    keep = graph.node("GreaterOrEqual", x, op.scalar("alpha"))
    return graph.node("Where", keep, x, graph.constant(np.float32(0)))


@lowers("sigmoid_hard", "x", "alpha", "beta")
def sigmoid_hard(graph: Graph, op: Call) -> str:
    """min(max(alpha · x + beta, 0), 1)."""
    return graph.node(
        "HardSigmoid", op.tensor("x"), alpha=op.number("alpha"), beta=op.number("beta")
    )


@lowers("linear_activation", "x", "alpha", "beta")
def linear_activation(graph: Graph, op: Call) -> str:
    """Gives alpha · x + beta."""
    return graph.node(
        "Add", graph.node("Mul", op.tensor("x"), op.scalar("alpha")), op.scalar("beta")
    )


@lowers("scaled_tanh", "x", "alpha", "beta")
def scaled_tanh(graph: Graph, op: Call) -> str:
    """Gives alpha · tanh(beta · x)."""
    inner = graph.node("Tanh", graph.node("Mul", op.tensor("x"), op.scalar("beta")))
    return graph.node("Mul", inner, op.scalar("alpha"))


@lowers("gelu", "x", mode="EXACT")
def gelu(graph: Graph, op: Call) -> str:
    """Gives x · Φ(x), exactly or by one of two approximations."""
    x, mode = op.tensor("x"), op.text("mode")

    def times(name: str, factor: float) -> str:
        return graph.node("Mul", name, graph.constant(np.float32(factor)))

    if mode == "SIGMOID_APPROXIMATION":
        return graph.node("Mul", x, graph.node("Sigmoid", times(x, 1.702)))
    if mode == "EXACT":
        inner = graph.node("Erf", times(x, math.sqrt(0.5)))
    elif mode == "TANH_APPROXIMATION":
        cube = graph.node("Mul", graph.node("Mul", x, x), x)
        summed = graph.node("Add", x, times(cube, 0.044715))
        inner = graph.node("Tanh", times(summed, math.sqrt(2 / math.pi)))
    else:
        raise op.unsupported("mode", mode)
    gate = graph.node("Add", graph.constant(np.float32(1)), inner)
    return graph.node("Mul", times(x, 0.5), gate)
