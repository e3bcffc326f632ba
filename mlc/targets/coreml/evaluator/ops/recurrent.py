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

# MIL's name of an activation -> ONNX's, with its slope and offset where it has any. MIL gives those of
# the hard sigmoid and the factors of the scaled tanh (1, so that it is the plain one) in its tests only.
_ACTIVATIONS: dict[str, tuple[str, tuple[float, float] | None]] = {
    "sigmoid": ("Sigmoid", None),
    "tanh": ("Tanh", None),
    "scaled_tanh": ("Tanh", None),
    "relu": ("Relu", None),
    "linear": ("Affine", (1.0, 0.0)),
    "hard_sigmoid": ("HardSigmoid", (0.2, 0.5)),
    "sigmoid_hard": ("HardSigmoid", (0.2, 0.5)),
}


def _activations(op: Call, parameters: Sequence[str], directions: int = 1) -> dict[str, Any]:
    """The activations of one direction, repeated for each, as ONNX attributes."""
    named = [op.text(parameter) for parameter in parameters]
    for name, parameter in zip(named, parameters, strict=True):
        if name not in _ACTIVATIONS:
            raise op.unsupported(parameter, name)
    chosen = [_ACTIVATIONS[name] for name in named] * directions
    shaped = [numbers for _, numbers in chosen if numbers]
    attributes: dict[str, Any] = {"activations": [name for name, _ in chosen]}
    if shaped:
        attributes["activation_alpha"] = [alpha for alpha, _ in shaped]
        attributes["activation_beta"] = [beta for _, beta in shaped]
    return attributes


def _activated(graph: Graph, op: Call, parameter: str, name: str) -> str:
    """An activation as an op of its own."""
    kind = op.text(parameter)
    if kind not in _ACTIVATIONS:
        raise op.unsupported(parameter, kind)
    onnx, numbers = _ACTIVATIONS[kind]
    if onnx == "Affine":
        return name
    alpha, beta = numbers or (None, None)
    return graph.node(onnx, name, alpha=alpha, beta=beta)


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
        return _lstm_by_steps(graph, op, suffixes, direction)
    inputs, states, biases = _weights(op, suffixes, (0, 2, 1, 3))
    hidden, width = states.shape[-1], len(suffixes) * states.shape[-1]
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
        **_activations(
            op, ("recurrent_activation", "cell_activation", "activation"), len(suffixes)
        ),
    )
    final = _side_by_side(graph, last_h, width)
    return [
        _sequence(graph, op, steps, final, width),
        final,
        _side_by_side(graph, last_c, width),
    ]


def _lstm_by_steps(
    graph: Graph, op: Call, suffixes: Sequence[str], direction: str
) -> Sequence[str]:
    """LSTM with `clip`, written out step by step.

    MIL limits the cell state to ±clip when it is made (so its tests say); ONNX's LSTM would limit what
    goes into the activations.
    """
    halves = [
        _direction_by_steps(graph, op, number, suffix, direction == "reverse" or number == 1)
        for number, suffix in enumerate(suffixes)
    ]
    joined = [
        parts[0] if len(parts) == 1 else graph.node("Concat", *parts, axis=-1)
        for parts in zip(*halves, strict=True)
    ]
    steps, last_h, last_c = joined
    if not op.flag("output_sequence"):
        steps = graph.node("Unsqueeze", last_h, graph.ints([0]))
    return [steps, last_h, last_c]


def _direction_by_steps(
    graph: Graph, op: Call, number: int, suffix: str, backwards: bool
) -> tuple[str, str, str]:
    """All steps [steps, batch, hidden] of one direction, and its last two states [batch, hidden]."""
    weight = np.asarray(op.constant("weight_ih" + suffix)).T
    recurrent = np.asarray(op.constant("weight_hh" + suffix)).T
    hidden = len(recurrent)
    given_bias, given_peephole = op.constant("bias" + suffix), op.constant("peephole" + suffix)
    bias = np.zeros(4 * hidden, np.float32) if given_bias is None else np.asarray(given_bias)
    peephole = (
        np.zeros(3 * hidden, np.float32) if given_peephole is None else np.asarray(given_peephole)
    )
    own = [graph.ints([number * hidden]), graph.ints([(number + 1) * hidden]), graph.ints([1])]
    h0, c0 = (graph.node("Slice", op.tensor(p), *own) for p in ("initial_h", "initial_c"))
    limit = abs(op.number("clip"))
    low, high = graph.constant(np.float32(-limit)), graph.constant(np.float32(limit))
    h, c, x = graph.fresh("h"), graph.fresh("c"), graph.fresh("x")

    def gate(name: str, parameter: str, place: int, cell: str) -> str:
        peep = graph.constant(peephole[place * hidden : (place + 1) * hidden])
        return _activated(
            graph, op, parameter, graph.node("Add", name, graph.node("Mul", cell, peep))
        )

    def step() -> list[tuple[str, str]]:
        product = graph.node("MatMul", x, graph.constant(weight))
        product = graph.node("Add", product, graph.node("MatMul", h, graph.constant(recurrent)))
        product = graph.node("Add", product, graph.constant(bias))
        i, f, o, z = graph.nodes("Split", 4, product, axis=-1, num_outputs=4)
        forgotten = graph.node("Mul", gate(f, "recurrent_activation", 1, c), c)
        new = _activated(graph, op, "cell_activation", z)
        added = graph.node("Mul", gate(i, "recurrent_activation", 0, c), new)
        cell = graph.node("Clip", graph.node("Add", forgotten, added), low, high)
        shown = _activated(graph, op, "activation", cell)
        state = graph.node("Mul", gate(o, "recurrent_activation", 2, cell), shown)
        return [(state, "float32"), (cell, "float32"), (state, "float32")]

    body = graph.nested([(h, "float32"), (c, "float32"), (x, "float32")], step)
    last_h, last_c, steps = graph.nodes(
        "Scan",
        3,
        h0,
        c0,
        op.tensor("x"),
        body=body,
        num_scan_inputs=1,
        scan_input_directions=[int(backwards)],
        scan_output_directions=[int(backwards)],
    )
    return steps, last_h, last_c


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
        **_activations(op, ("activation",)),
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
        **_activations(op, ("recurrent_activation", "activation")),
        linear_before_reset=int(after),
    )
    final = _side_by_side(graph, last, hidden)
    return [_sequence(graph, op, steps, final, hidden), final]
