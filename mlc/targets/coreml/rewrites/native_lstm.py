"""The loop of a Keras LSTM → BlockLSTM, which coremltools makes one `lstm` op of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc.convert.graph import Body, Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["native_lstm"]


def native_lstm(program: Program, request: Request) -> None:
    """Both Keras generations write an LSTM as a While over a list of steps.

    ::

        Before:  x ─► TensorListFromTensor ─► While(body) ─► TensorListStack ─► hs
                                                      ├────► h
                                                      └────► c

                 body:  z = x_t·W + h·U + b,   i, f, g, o = Split(z)
                        c = σ(f)·c + σ(i)·tanh(g),   h = σ(o)·tanh(c)

        After:   x ─► BlockLSTM(W, U, b, h0, c0) ─┬─► hs
                                                  ├─► last ─► h
                                                  └─► last ─► c

    Precondition: the body computes exactly this (no mask, no other activation), the loop runs once
    for each step, weights are constants, and nothing else of the loop is used. Any other recurrence
    stays a loop.
    """
    for body in program.bodies():
        for node in body.find("While", "StatelessWhile"):
            cell = _match(body, node)
            if cell is not None:
                _replace(body, node, cell)


# An expression is a name, or a tuple of an op and its arguments: (op, x, y, ...).
Expression = Any


@dataclass(frozen=True)
class _Cell:
    """A matched loop. Loop variables by their place, weights by value."""

    steps: str  # reference to x, steps first
    count: int
    list_: int
    h: int
    c: int
    all_steps: bool  # the list has every h, not only the last
    stacks: tuple[Any, ...]
    kernel: Any  # [inputs + units, 4 * units], gates in Keras's order: i, f, g, o
    bias: Any


def _match(outer: Body, node: Any) -> _Cell | None:
    inner = outer.calls[node.name, "body"]
    results = [_expression(inner, o) for o in inner.outputs]
    cell = _find_cell(results)
    if cell is None:
        return None
    h, c, z = cell
    item, time = z.item
    written = [i for i, r in enumerate(results) if r[0] == "write"]
    if len(written) != 1 or results[written[0]][3] != results[h]:
        return None
    place = results[written[0]][2]

    steps = _steps(outer, node.input[_place(item)])
    shape = outer.shape(steps) if steps else None
    count = shape[0] if shape else None
    if count is None or not _counts_to(outer, node, results, time, count):
        return None
    stacks = _readers(outer, node.name, written[0], {h, c})
    weights = [outer.constant(node.input[_place(w)]) for w in (z.kernel, z.recurrent, z.bias) if w]
    if stacks is None or any(w is None for w in weights) or place not in (time, ("const", 0)):
        return None
    return _Cell(
        steps=steps,
        count=count,
        list_=written[0],
        h=h,
        c=c,
        all_steps=place == time,
        stacks=stacks,
        kernel=np.concatenate(weights[:2]),
        bias=weights[2] if z.bias else np.zeros(weights[0].shape[1], np.float32),
    )


@dataclass(frozen=True)
class _Sum:
    """The pre-activation: x_t·kernel + h·recurrent + bias, each the name of a loop variable."""

    item: tuple[str, str]  # list and index that x_t comes from
    kernel: str
    recurrent: str
    bias: str  # empty without


def _find_cell(results: list[Expression]) -> tuple[int, int, _Sum] | None:
    """Which results are h and c, if two of them are the equations of an LSTM."""
    for h, result in enumerate(results):
        for z in {e[2] for e in _walk(result) if e[0] == "split"}:
            parts = _parts(z, f"arg{h}")
            if parts is None:
                continue
            for c, other in enumerate(results):
                gates = [("split", k, z) for k in range(4)]
                new_c = _ordered(
                    "sum",
                    _ordered("product", ("Sigmoid", gates[1]), f"arg{c}"),
                    _ordered("product", ("Sigmoid", gates[0]), ("Tanh", gates[2])),
                )
                new_h = _ordered("product", ("Sigmoid", gates[3]), ("Tanh", new_c))
                if (result, other) == (new_h, new_c):
                    return h, c, parts
    return None


def _parts(z: Expression, h: str) -> _Sum | None:
    if z[0] != "sum" or len(z) not in (3, 4):
        return None
    products = [e for e in z[1:] if e[0] == "matmul"]
    biases = [e for e in z[1:] if isinstance(e, str)]
    inputs = [p for p in products if p[1][0] == "item"]
    recurrent = [p for p in products if p[1] == h]
    if len(inputs) != 1 or len(recurrent) != 1 or len(biases) + 2 != len(z) - 1:
        return None
    (_, (_, list_, index), kernel), (_, _, weights) = inputs[0], recurrent[0]
    if not all(isinstance(e, str) for e in (list_, index, kernel, weights)):
        return None
    return _Sum((list_, index), kernel, weights, biases[0] if biases else "")


def _expression(body: Body, reference: str) -> Expression:
    """What a reference computes, in a form that does not depend on the order of sums and products."""
    name, _, index = reference.partition(":")
    if name in body.inputs:
        return name
    node = body.nodes[name]
    if node.op in ("Identity", "Squeeze"):  # Keras squeezes h·U at batch 1, to add it as a bias
        return _expression(body, node.input[0])
    if node.op == "Const":
        value = body.constant(reference)
        return ("const", value.item() if value.size == 1 else name)
    inputs = [_expression(body, i) for i in node.input]
    if node.op in ("Add", "AddV2", "BiasAdd"):
        terms = [t for i in inputs for t in (i[1:] if i[0] == "sum" else (i,))]
        return _ordered("sum", *terms)
    if node.op == "Mul":
        return _ordered("product", *inputs)
    if node.op == "MatMul" and not (node.attr["transpose_a"].b or node.attr["transpose_b"].b):
        return ("matmul", *inputs)
    if node.op == "Split" and node.attr["num_split"].i == 4 and inputs[0] in _LAST_AXIS:
        return ("split", int(index or 0), inputs[1])
    if node.op == "TensorListGetItem":
        return ("item", *inputs[:2])
    if node.op == "TensorListSetItem":
        return ("write", *inputs)
    return (node.op, *inputs, reference) if node.op not in _PLAIN else (node.op, *inputs)


_LAST_AXIS = (("const", 1), ("const", -1))
_PLAIN = ("Sigmoid", "Tanh", "Less", "LogicalAnd")


def _ordered(op: str, *terms: Expression) -> Expression:
    return (op, *sorted(terms, key=repr))


def _walk(expression: Expression) -> Iterator[Expression]:
    if isinstance(expression, tuple):
        yield expression
        for part in expression[1:]:
            yield from _walk(part)


def _place(name: str) -> int:
    return int(name.removeprefix("arg"))


def _steps(outer: Body, reference: str) -> str:
    """The tensor that a list was made of, or nothing."""
    node = outer.producer(reference)
    while node.op == "Identity":
        node = outer.producer(node.input[0])
    return str(node.input[0]) if node.op == "TensorListFromTensor" else ""


def _counts_to(outer: Body, node: Any, results: list[Expression], time: str, count: int) -> bool:
    """Whether the loop runs for time = 0, 1, ..., count - 1."""
    place = _place(time)
    start = outer.constant(node.input[place])
    if results[place] != _ordered("sum", time, ("const", 1)) or start is None or start != 0:
        return False
    condition = outer.calls[node.name, "cond"]
    test = _expression(condition, condition.outputs[0])
    for less in test[1:] if test[0] == "LogicalAnd" else (test,):
        if less[0] != "Less" or not isinstance(less[1], str):
            return False
        counter, limit = _place(less[1]), less[2]
        begin = outer.constant(node.input[counter])
        if isinstance(limit, str):
            bound = outer.constant(node.input[_place(limit)])
        else:
            bound = limit[1] if limit[0] == "const" else None
        steps_by_one = results[counter] == _ordered("sum", less[1], ("const", 1))
        if begin is None or bound is None or begin != 0 or bound != count or not steps_by_one:
            return False
    return True


def _readers(outer: Body, name: str, list_: int, states: set[int]) -> tuple[Any, ...] | None:
    """The nodes that stack the list, or None if more of the loop is used than list and states."""
    stacks = []
    for reader in outer.consumers(name):
        for reference in reader.input:
            producer, _, index = reference.partition(":")
            if producer != name or int(index or 0) in states:
                continue
            if int(index or 0) != list_ or reader.op != "TensorListStack":
                return None
            stacks.append(reader)
    return None if any(o.split(":")[0] == name for o in outer.outputs) else tuple(stacks)


def _replace(outer: Body, node: Any, cell: _Cell) -> None:
    import tensorflow as tf

    units = cell.bias.size // 4
    order = np.concatenate([np.arange(units) + gate * units for gate in (0, 2, 1, 3)])  # i, g, f, o
    kernel, bias = cell.kernel[:, order], cell.bias[order]
    none = np.zeros(units, np.float32)

    def block(x: Any, h: Any, c: Any) -> list[Any]:
        found = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.constant(cell.count, tf.int64),
            x=x,
            cs_prev=c,
            h_prev=h,
            w=kernel,
            wci=none,
            wcf=none,
            wco=none,
            b=bias,
            forget_bias=0,
            cell_clip=-1,
        )
        row = found.h if cell.all_steps else found.h[-1:]
        return [row, found.h[-1], found.cs[-1]]

    references = [cell.steps, node.input[cell.h], node.input[cell.c]]
    types = [(t.dtype, t.shape) for t in map(outer.tensor, references)]
    hs, h, c = outer.insert(node.name, block, references, types)
    outer.redirect(
        {
            (node.name, cell.h): h,
            (node.name, cell.c): c,
            **{(stack.name, 0): hs for stack in cell.stacks},
        }
    )
    outer.prune()
    outer.infer_again()  # TensorListStack did not know its number of steps; BlockLSTM does
