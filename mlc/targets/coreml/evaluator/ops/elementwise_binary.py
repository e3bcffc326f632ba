"""MIL `elementwise_binary`: two tensors in, broadcast against each other as numpy does."""

from __future__ import annotations

import numpy as np

from mlc.targets.coreml.evaluator.lowering import Call, Graph, lowers

__all__: list[str] = []


def _one_to_one(kind: str, onnx: str, *, exact: bool = False) -> None:
    """An op that ONNX has under another name."""

    @lowers(kind, "x", "y", exact=exact)
    def lower(graph: Graph, op: Call) -> str:
        return graph.node(onnx, op.tensor("x"), op.tensor("y"))


for _kind, _onnx in {"add": "Add", "sub": "Sub", "mul": "Mul", "pow": "Pow"}.items():
    _one_to_one(_kind, _onnx)

for _kind, _onnx in {
    "equal": "Equal",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "logical_and": "And",
    "logical_or": "Or",
    "logical_xor": "Xor",
    "maximum": "Max",
    "minimum": "Min",
}.items():
    _one_to_one(_kind, _onnx, exact=True)


@lowers("not_equal", "x", "y", exact=True)
def not_equal(graph: Graph, op: Call) -> str:
    """Gives x ≠ y."""
    return graph.node("Not", graph.node("Equal", op.tensor("x"), op.tensor("y")))


@lowers("real_div", "x", "y")
def real_div(graph: Graph, op: Call) -> str:
    """Gives x / y. Of integers MIL does not document whether the quotient is truncated or floored."""
    if not op.result.is_float:
        raise op.unsupported("x", "division of integers")
    return graph.node("Div", op.tensor("x"), op.tensor("y"))


@lowers("floor_div", "x", "y")
def floor_div(graph: Graph, op: Call) -> str:
    """⌊x / y⌋, toward minus infinity also for integers (ONNX truncates those)."""
    x, y = op.tensor("x"), op.tensor("y")
    if op.result.is_float:
        return graph.node("Floor", graph.node("Div", x, y))
    # Quotients of 32-bit integers are exact enough in float64 for the floor to be exact.
    quotient = graph.node("Div", graph.cast(x, "float64"), graph.cast(y, "float64"))
    return graph.cast(graph.node("Floor", quotient), "int32")


@lowers("mod", "x", "y")
def mod(graph: Graph, op: Call) -> str:
    """Gives x - ⌊x / y⌋ · y: the remainder takes the sign of the divisor.

    Of floats the remainder of C (exact, sign of the dividend) is moved by one divisor where the signs
    differ, which is how numpy and TensorFlow compute it.
    """
    x, y = op.tensor("x"), op.tensor("y")
    if not op.result.is_float:
        return graph.node("Mod", x, y)
    zero = graph.constant(np.float32(0))
    rest = graph.node("Mod", x, y, fmod=1)
    differ = graph.node(
        "Less", graph.node("Mul", graph.node("Sign", rest), graph.node("Sign", y)), zero
    )
    return graph.node("Where", differ, graph.node("Add", rest, y), rest)
