"""MIL `linear`, and the attention op of iOS 18."""

from __future__ import annotations

import math

import numpy as np

from mlc.targets.coreml.evaluator.lowering import Call, Graph, lowers, widened

__all__: list[str] = []


def _swapped(graph: Graph, op: Call, parameter: str, swap: bool) -> str:
    """An operand of a product, its last two axes exchanged if asked. Constants are exchanged here."""
    value = op[parameter]
    if not swap:
        return graph.tensor(value)
    if value.is_constant:
        return graph.constant(np.ascontiguousarray(np.swapaxes(widened(value.constant), -1, -2)))
    perm = list(range(value.type.rank))
    perm[-1], perm[-2] = perm[-2], perm[-1]
    return graph.transpose(graph.tensor(value), perm)


@lowers("linear", "x", "weight", bias=None)
def linear(graph: Graph, op: Call) -> str:
    """Gives x · weightᵀ + bias, with weight [D_out, D_in]."""
    product = graph.node("MatMul", op.tensor("x"), _swapped(graph, op, "weight", True))
    return graph.node("Add", product, op.tensor("bias")) if "bias" in op else product


@lowers("matmul", "x", "y", transpose_x=False, transpose_y=False)
def matmul(graph: Graph, op: Call) -> str:
    """Matrix product of the last two axes, the others broadcast; vectors as in numpy.

    Since iOS 17 an operand may be of integers where the other, and the result, are real.
    """
    operands = []
    for parameter in ("x", "y"):
        name = _swapped(graph, op, parameter, op.flag(f"transpose_{parameter}"))
        real = op[parameter].type.is_float
        if real and not op.result.is_float:
            raise op.unsupported(parameter, "real numbers where the result is of integers")
        if op.result.is_float and not real:
            name = graph.cast(name, "float32")
        operands.append(name)
    return graph.node("MatMul", *operands)


@lowers("einsum", "values", "equation")
def einsum(graph: Graph, op: Call) -> str:
    """Einstein summation."""
    return graph.node("Einsum", *op.tensors("values"), equation=op.text("equation"))


@lowers("scaled_dot_product_attention", "query", "key", "value", attn_mask=None)
def attention(graph: Graph, op: Call) -> str:
    """softmax(Q Kᵀ / √E + mask) V; a bool mask keeps where it is true, a float mask is added."""
    size = op["query"].type.shape[-1]
    if size is None:
        raise op.unsupported("query", "its last dimension is open")
    scale = graph.constant(np.float32(1 / math.sqrt(size)))
    scores = graph.node("MatMul", op.tensor("query"), _swapped(graph, op, "key", True))
    scores = graph.node("Mul", scores, scale)
    if "attn_mask" in op:
        mask = op.tensor("attn_mask")
        if op["attn_mask"].type.dtype == "bool":
            scores = graph.node("Where", mask, scores, graph.constant(np.float32(-np.inf)))
        else:
            scores = graph.node("Add", scores, mask)
    return graph.node("MatMul", graph.node("Softmax", scores, axis=-1), op.tensor("value"))
