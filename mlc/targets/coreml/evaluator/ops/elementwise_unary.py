"""MIL `elementwise_unary`: one tensor in, one of the same shape out."""

from __future__ import annotations

import numpy as np

from mlc.targets.coreml.evaluator.lowering import Call, Graph, lowers

__all__: list[str] = []


def _one_to_one(kind: str, onnx: str, *, exact: bool = False) -> None:
    """An op without parameters that ONNX has under another name."""

    @lowers(kind, "x", exact=exact)
    def lower(graph: Graph, op: Call) -> str:
        return graph.node(onnx, op.tensor("x"))


for _kind, _onnx in {
    "acos": "Acos",
    "asin": "Asin",
    "atan": "Atan",
    "atanh": "Atanh",
    "cos": "Cos",
    "cosh": "Cosh",
    "erf": "Erf",
    "exp": "Exp",
    "sin": "Sin",
    "sinh": "Sinh",
    "sqrt": "Sqrt",
    "tan": "Tan",
    "tanh": "Tanh",
}.items():
    _one_to_one(_kind, _onnx)

for _kind, _onnx in {
    "abs": "Abs",
    "ceil": "Ceil",
    "floor": "Floor",
    "logical_not": "Not",
    "round": "Round",  # ties to even, as numpy and MIL's value inference do
    "sign": "Sign",
}.items():
    _one_to_one(_kind, _onnx, exact=True)


@lowers("square", "x")
def square(graph: Graph, op: Call) -> str:
    """Gives x · x."""
    x = op.tensor("x")
    return graph.node("Mul", x, x)


@lowers("exp2", "x")
def exp2(graph: Graph, op: Call) -> str:
    """2 to the power of x."""
    return graph.node("Pow", graph.constant(np.float32(2)), op.tensor("x"))


def _shifted(graph: Graph, op: Call) -> str:
    """Gives x + epsilon."""
    return graph.node("Add", op.tensor("x"), op.scalar("epsilon"))


@lowers("log", "x", epsilon=1e-45)
def log(graph: Graph, op: Call) -> str:
    """ln(x + epsilon)."""
    return graph.node("Log", _shifted(graph, op))


@lowers("rsqrt", "x", epsilon=1e-12)
def rsqrt(graph: Graph, op: Call) -> str:
    """1 / √(x + epsilon)."""
    return graph.node("Reciprocal", graph.node("Sqrt", _shifted(graph, op)))


@lowers("inverse", "x", epsilon=1e-4)
def inverse(graph: Graph, op: Call) -> str:
    """1 / (x + epsilon): MIL's `inverse` shifts its operand."""
    return graph.node("Reciprocal", _shifted(graph, op))


@lowers("clip", "x", "alpha", "beta")
def clip(graph: Graph, op: Call) -> str:
    """Limit to [alpha, beta]."""
    return graph.node("Clip", op.tensor("x"), op.scalar("alpha"), op.scalar("beta"))


@lowers("threshold", "x", "alpha")
def threshold(graph: Graph, op: Call) -> str:
    """max(x, alpha)."""
    return graph.node("Max", op.tensor("x"), op.scalar("alpha"))


@lowers("cast", "x", "dtype")
def cast(graph: Graph, op: Call) -> str:
    """Convert to another type.

    From float to integer truncates toward zero, to bool asks whether the element is not zero. Narrow
    integers wrap around. To float16 rounds, which the walk does because the result is declared float16.
    """
    x, target = op["x"], op.result.dtype
    if op.text("dtype") not in _SPELLINGS.get(target, ()):
        raise op.unsupported("dtype", f"{op.text('dtype')!r} contradicts the declared {target}")
    name = graph.tensor(x)
    if target in ("float16", "float32"):
        return name if x.type.is_float else graph.cast(name, "float32")
    if target == "bool":
        return graph.cast(name, "bool")
    if target == "int32":
        return graph.cast(name, "int32")
    if x.type.is_float:
        name = graph.cast(name, "int32")
    return graph.cast(graph.cast(name, target), "int32")


# How the `dtype` parameter spells the declared type of the result.
_SPELLINGS = {
    "float16": ("fp16",),
    "float32": ("fp32", "float"),
    "int32": ("int32", "int64"),
    "bool": ("bool",),
    "int8": ("int8",),
    "uint8": ("uint8",),
    "int16": ("int16",),
    "uint16": ("uint16",),
}
