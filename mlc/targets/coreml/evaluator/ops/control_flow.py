"""MIL `control_flow`: conditions, loops, lists, and the op that ends a classifier.

A list is carried as one tensor with the elements along a first axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlc.targets.coreml.evaluator.lowering import Call, Graph, carrier, lowers
from mlc.targets.coreml.evaluator.program import Block, Value

__all__: list[str] = []


@lowers("select", "cond", "a", "b", exact=True)
def select(graph: Graph, op: Call) -> str:
    """Gives a where the condition holds, else b."""
    return graph.node("Where", op.tensor("cond"), op.tensor("a"), op.tensor("b"))


def _typed(graph: Graph, values: Sequence[Value]) -> list[tuple[str, str]]:
    return [(graph.tensor(value), carrier(value.type.dtype)) for value in values]


def _run(graph: Graph, block: Block, arguments: Sequence[str]) -> list[str]:
    """Lower a block with its arguments bound; return the names of its results."""
    for value, name in zip(block.inputs, arguments, strict=True):
        graph.bind(value, name)
    graph.block(block)
    return [graph.tensor(value) for value in block.outputs]


@lowers("cond", "pred", exact=True)
def cond(graph: Graph, op: Call) -> Sequence[str]:
    """The first block's results where `pred` holds, else the second's."""

    def branch(block: Block) -> list[tuple[str, str]]:
        _run(graph, block, [])
        return _typed(graph, block.outputs)

    pred = op.tensor("pred")
    if op["pred"].type.rank:
        pred = graph.node("Squeeze", pred)
    then, otherwise = (graph.nested([], lambda b=block: branch(b)) for block in op.op.blocks)  # type: ignore[misc]
    return graph.nodes("If", len(op.op.outputs), pred, then_branch=then, else_branch=otherwise)


@lowers("while_loop", "loop_vars", exact=True)
def while_loop(graph: Graph, op: Call) -> Sequence[str]:
    """Run the second block on the loop variables as long as the first one, the condition, holds.

    ONNX evaluates the condition at the end of a round, so the block of the condition is lowered twice:
    in front of the loop on the initial values, and in the loop behind the body.
    """
    condition, body = op.op.blocks
    initial = op.tensors("loop_vars")
    goes_on = _run(graph, condition, initial)[0]
    if condition.outputs[0].type.rank:
        goes_on = graph.node("Squeeze", goes_on)
    names = [graph.fresh("loop") for _ in initial]
    count, flag = graph.fresh("round"), graph.fresh("condition")

    def round_() -> list[tuple[str, str]]:
        results = _run(graph, body, names)
        types = [carrier(value.type.dtype) for value in body.outputs]
        again = _run(graph, condition, results)[0]
        if condition.outputs[0].type.rank:
            again = graph.node("Squeeze", again)
        return [(again, "bool"), *zip(results, types, strict=True)]

    arguments = [(n, carrier(v.type.dtype)) for n, v in zip(names, body.inputs, strict=True)]
    nested = graph.nested([(count, "int64"), (flag, "bool"), *arguments], round_, scalars=2)
    return graph.nodes("Loop", len(initial), "", goes_on, *initial, body=nested)


@lowers("make_list", "elem_shape", init_length=1, dynamic_length=True, dtype="fp32", exact=True)
def make_list(graph: Graph, op: Call) -> str:
    """A list of zeros. An open dimension of the elements is refused: ONNX needs to know it here."""
    shape = [value.constant for value in op.values("elem_shape")]
    if any(isinstance(size, str) for size in shape):
        raise op.unsupported("elem_shape", "an open dimension")
    spelled = {"fp16": "float16", "fp32": "float32", "int32": "int32", "bool": "bool"}
    if spelled.get(op.text("dtype")) != op.result.dtype:
        raise op.unsupported("dtype", op.text("dtype"))
    op.irrelevant("dynamic_length")  # read in advance, for the whole program: Graph.lists_grow
    sizes = [int(size) for size in shape]
    zeros = np.zeros((), carrier(op.result.dtype))
    if "init_length" in op and not op["init_length"].is_constant:
        length = op.int64("init_length")
        return graph.node(
            "Expand", graph.constant(zeros), graph.node("Concat", length, graph.ints(sizes), axis=0)
        )
    return graph.node(
        "Expand", graph.constant(zeros), graph.ints([op.integer("init_length"), *sizes])
    )


@lowers("list_length", "ls", exact=True)
def list_length(graph: Graph, op: Call) -> str:
    """How many elements the list has."""
    length = graph.cast(graph.shape(op.tensor("ls"), 0, 1), "int32")
    return graph.node("Squeeze", length, graph.ints([0]))


@lowers("list_read", "ls", "index", exact=True)
def list_read(graph: Graph, op: Call) -> str:
    """One element."""
    index = op.tensor("index")
    if op["index"].type.rank:
        index = graph.node("Squeeze", index)
    return graph.node("Gather", op.tensor("ls"), index, axis=0)


@lowers("list_gather", "ls", "indices", exact=True)
def list_gather(graph: Graph, op: Call) -> str:
    """Several elements, joined along a new first axis."""
    return graph.node("Gather", op.tensor("ls"), op.tensor("indices"), axis=0)


def _grown(graph: Graph, elements: str, indices: str, rank: int) -> str:
    """The list, with zeros appended so that it holds every one of the indices (int64)."""
    needed = graph.node(
        "Add", graph.node("ReduceMax", indices, keepdims=0), graph.constant(np.int64(1))
    )
    missing = graph.node("Sub", needed, graph.shape(elements, 0, 1))
    missing = graph.node("Max", missing, graph.ints([0]))
    amounts = graph.node(
        "Concat", graph.ints([0] * (rank + 1)), missing, graph.ints([0] * rank), axis=0
    )
    return graph.node("Pad", elements, amounts)


def _written(graph: Graph, op: Call, indices: str, values: str) -> str:
    """The list with `values` (one per index) written to it."""
    elements, rank = op.tensor("ls"), op["ls"].type.rank
    if graph.lists_grow:
        elements = _grown(graph, elements, indices, rank)
    at = graph.node("Unsqueeze", indices, graph.ints([1]))
    return graph.node("ScatterND", elements, at, values)


@lowers("list_write", "ls", "index", "value", exact=True)
def list_write(graph: Graph, op: Call) -> str:
    """The list with one element replaced."""
    value = graph.node("Unsqueeze", op.tensor("value"), graph.ints([0]))
    return _written(graph, op, op.int64("index"), value)


@lowers("list_scatter", "ls", "indices", "value", exact=True)
def list_scatter(graph: Graph, op: Call) -> str:
    """The list with several elements replaced."""
    return _written(graph, op, op.int64("indices"), op.tensor("value"))


@lowers("classify", "probabilities", "classes", exact=True)
def classify(graph: Graph, op: Call) -> Sequence[str]:
    """The end of a classifier: class labels are text, so the result is the probabilities alone.

    The two results of MIL (the best label, and a dictionary) are both carried by the probabilities;
    `Evaluator.labels` names their classes in order.
    """
    graph.labels = tuple(str(label) for label in op["classes"].constant)
    probabilities = op.tensor("probabilities")
    return [probabilities, probabilities]
