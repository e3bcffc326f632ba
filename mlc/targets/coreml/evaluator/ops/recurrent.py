"""MIL `recurrent`: whole sequences in one op, hence rounded once at the end.

Sequences are [steps, batch, features], weights [gates · hidden, features] with the gates stacked in
MIL's order, states [batch, directions · hidden].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlc.targets.coreml.evaluator.lowering import Call, Graph, lowers

__all__: list[str] = []

Array = np.ndarray[Any, np.dtype[Any]]

# MIL does not say which slope and offset its hard sigmoid, nor which factors its scaled tanh have.
_ACTIVATIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "linear": "Affine"}


def _activation(op: Call, parameter: str) -> str:
    name = op.text(parameter)
    if name not in _ACTIVATIONS:
        raise op.unsupported(parameter, name)
    return _ACTIVATIONS[name]


def _activations(names: list[str], directions: int = 1) -> dict[str, Any]:
    """ONNX attributes. Its affine function (MIL's "linear") has no default slope and offset."""
    names = names * directions
    linear = names.count("Affine")
    if not linear:
        return {"activations": names}
    return {
        "activations": names,
        "activation_alpha": [1.0] * linear,
        "activation_beta": [0.0] * linear,
    }


def _reordered(stacked: Array, order: Sequence[int]) -> Array:
    """Gates in another order, with an axis for the direction in front."""
    gates = np.split(stacked, len(order))
    return np.asarray(np.concatenate([gates[i] for i in order])[None])


def _weights(op: Call, suffixes: Sequence[str], order: Sequence[int]) -> tuple[Array, Array, Array]:
    """Input weights, recurrent weights and biases of each direction, stacked as ONNX wants them."""
    inputs, states, biases = [], [], []
    for suffix in suffixes:
        state = np.asarray(op.constant("weight_hh" + suffix))
        inputs.append(_reordered(np.asarray(op.constant("weight_ih" + suffix)), order))
        states.append(_reordered(state, order))
        given = op.constant("bias" + suffix)
        bias = np.zeros(len(state), np.float32) if given is None else np.asarray(given)
        # ONNX adds a bias at the input and one at the state; MIL stores their sum.
        biases.append(
            np.concatenate([_reordered(bias, order), np.zeros((1, len(bias)), np.float32)], 1)
        )
    return np.concatenate(inputs), np.concatenate(states), np.concatenate(biases)


def _per_direction(graph: Graph, name: str, directions: int, hidden: int) -> str:
    """A state [batch, directions · hidden] -> [directions, batch, hidden]."""
    if directions == 1:
        return graph.node("Unsqueeze", name, graph.ints([0]))
    split = graph.node("Reshape", name, graph.ints([-1, directions, hidden]))
    return graph.transpose(split, [1, 0, 2])


def _side_by_side(graph: Graph, name: str, width: int) -> str:
    """A state [directions, batch, hidden] -> [batch, directions · hidden]."""
    moved = graph.node("Transpose", name, perm=[1, 0, 2])
    return graph.node("Reshape", moved, graph.ints([-1, width]))


def _sequence(graph: Graph, op: Call, steps: str, final: str, width: int) -> str:
    """All steps [steps, batch, width] or, without `output_sequence`, the final state as one step."""
    if not op.flag("output_sequence"):
        return graph.node("Unsqueeze", final, graph.ints([0]))
    moved = graph.node("Transpose", steps, perm=[0, 2, 1, 3])
    return graph.node("Reshape", moved, graph.ints([0, 0, width]))


def _direction(op: Call, allowed: Sequence[str]) -> str:
    direction = op.text("direction")
    if direction not in allowed:
        raise op.unsupported("direction", direction)
    return direction


@lowers(
    "lstm", "x", "initial_h", "initial_c", "weight_ih", "weight_hh",
    bias=None, peephole=None, weight_ih_back=None, weight_hh_back=None, bias_back=None,
    peephole_back=None, direction="forward", output_sequence=False, recurrent_activation="sigmoid",
    cell_activation="tanh", activation="tanh", clip=None,
)  # fmt: skip
def lstm(graph: Graph, op: Call) -> Sequence[str]:
    """LSTM. MIL stacks the gates input, forget, output, cell; ONNX input, output, forget, cell."""
    direction = _direction(op, ("forward", "reverse", "bidirectional"))
    suffixes = ["", "_back"] if direction == "bidirectional" else [""]
    if len(suffixes) == 1:
        op.irrelevant("weight_ih_back", "weight_hh_back", "bias_back", "peephole_back")
    if "clip" in op:
        raise op.unsupported("clip", "MIL does not say what exactly is clipped")
    inputs, states, biases = _weights(op, suffixes, (0, 2, 1, 3))
    hidden, width = states.shape[-1], len(suffixes) * states.shape[-1]
    activations = [
        _activation(op, p) for p in ("recurrent_activation", "cell_activation", "activation")
    ]
    steps, last_h, last_c = graph.nodes(
        "LSTM",
        3,
        op.tensor("x"),
        graph.constant(inputs),
        graph.constant(states),
        graph.constant(biases),
        "",
        _per_direction(graph, op.tensor("initial_h"), len(suffixes), hidden),
        _per_direction(graph, op.tensor("initial_c"), len(suffixes), hidden),
        _peepholes(graph, op, suffixes, hidden),
        hidden_size=hidden,
        direction=direction,
        **_activations(activations, len(suffixes)),
    )
    final = _side_by_side(graph, last_h, width)
    return [
        _sequence(graph, op, steps, final, width),
        final,
        _side_by_side(graph, last_c, width),
    ]


def _peepholes(graph: Graph, op: Call, suffixes: Sequence[str], hidden: int) -> str:
    """Peephole weights of each direction (MIL input, forget, output; ONNX input, output, forget)."""
    given = [op.constant("peephole" + suffix) for suffix in suffixes]
    if all(g is None for g in given):
        return ""
    rows = [np.zeros(3 * hidden, np.float32) if g is None else np.asarray(g) for g in given]
    return graph.constant(np.concatenate([_reordered(row, (0, 2, 1)) for row in rows]))


@lowers(
    "rnn", "x", "initial_h", "weight_ih", "weight_hh",
    bias=None, direction="forward", output_sequence=False, activation="tanh",
)  # fmt: skip
def rnn(graph: Graph, op: Call) -> Sequence[str]:
    """Gives h = activation(W x + R h + bias)."""
    inputs, states, biases = _weights(op, [""], (0,))
    hidden = states.shape[-1]
    steps, last = graph.nodes(
        "RNN",
        2,
        op.tensor("x"),
        graph.constant(inputs),
        graph.constant(states),
        graph.constant(biases),
        "",
        _per_direction(graph, op.tensor("initial_h"), 1, hidden),
        hidden_size=hidden,
        direction=_direction(op, ("forward", "reverse")),
        **_activations([_activation(op, "activation")]),
    )
    final = _side_by_side(graph, last, hidden)
    return [_sequence(graph, op, steps, final, hidden), final]


@lowers(
    "gru", "x", "initial_h", "weight_ih", "weight_hh",
    bias=None, direction="forward", output_sequence=False, recurrent_activation="sigmoid",
    activation="tanh", reset_after=False, input_bias=None,
)  # fmt: skip
def gru(graph: Graph, op: Call) -> Sequence[str]:
    """GRU. MIL stacks the gates reset, new, update; ONNX update, reset, new.

    Without `reset_after` the reset gate multiplies the state before its weights are applied. With it,
    the gate multiplies the product, and whether `bias` is inside is not documented: refused unless
    there is no bias.
    """
    after = op.flag("reset_after")
    if "input_bias" in op:
        raise op.unsupported("input_bias")
    if after and "bias" in op and np.asarray(op.constant("bias")).any():
        raise op.unsupported("reset_after", "together with a bias")
    inputs, states, biases = _weights(op, [""], (2, 0, 1))
    hidden = states.shape[-1]
    steps, last = graph.nodes(
        "GRU",
        2,
        op.tensor("x"),
        graph.constant(inputs),
        graph.constant(states),
        graph.constant(biases),
        "",
        _per_direction(graph, op.tensor("initial_h"), 1, hidden),
        hidden_size=hidden,
        direction=_direction(op, ("forward", "reverse")),
        **_activations([_activation(op, "recurrent_activation"), _activation(op, "activation")]),
        linear_before_reset=int(after),
    )
    final = _side_by_side(graph, last, hidden)
    return [_sequence(graph, op, steps, final, hidden), final]
