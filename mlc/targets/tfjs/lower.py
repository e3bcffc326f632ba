"""Ops that TF.js or its wasm backend lacks, spelled in ops that they have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlc.convert.graph import tensor_name

__all__ = ["lower"]

Dims = list[int | None]

_INTEGERS = {
    "Transpose": "Tperm",
    "Reshape": "Tshape",
    "Mean": "Tidx",
}  # op → type of its second input


def lower(graph_def: Any) -> None:
    """Rewrite in place; a rewritten node keeps its name, helpers are named below it.

    * `Erfc(x)` → `1 - Erf(x)`
    * `Softsign(x)` → `x / (|x| + 1)`
    * `FusedBatchNormV3` in training mode, as Keras 2 writes LayerNormalization → means and differences.
      TF.js reads the statistics that it is given, which are empty, and answers NaN.
    * `Einsum` of two tensors → transpose, reshape, one batched product, reshape, transpose. TF.js has
      Einsum, its wasm backend has not: every attention layer would fail there. An equation that sums
      or repeats a label within one operand, or that has two open dimensions, stays as it is.
    """
    for node in [n for n in graph_def.node if n.op in ("Erfc", "Softsign")]:
        _Builder(graph_def, node).lower_activation()
    for node in [n for n in graph_def.node if n.op == "FusedBatchNormV3"]:
        if node.attr["is_training"].b and not _reads_statistics(graph_def, node.name):
            _Builder(graph_def, node).lower_normalization()
    einsums = [n for n in graph_def.node if n.op == "Einsum" and len(n.input) == 2]
    if einsums:
        shapes = _shapes(graph_def, {i for n in einsums for i in n.input})
        for node in einsums:
            equation = node.attr["equation"].s.decode()
            plan = _plan(equation, *(shapes[i] for i in node.input))
            if plan:
                _Builder(graph_def, node).lower_einsum(plan)


@dataclass(frozen=True)
class _Product:
    """An Einsum as one batched matrix product; a permutation or shape per step."""

    left: tuple[list[int], list[int]]  # order of the axes, then shape (batch, rows, contracted)
    right: tuple[list[int], list[int]]  # ... (batch, contracted, columns)
    result: tuple[list[int], list[int]]  # shape of all axes, then their order


class _Builder:
    """Rewrites one node, adding others below its name and of its type."""

    def __init__(self, graph_def: Any, node: Any) -> None:
        self._graph, self._node, self._type = graph_def, node, node.attr["T"].type

    def lower_activation(self) -> None:
        x = self._node.input[0]
        one = self._constant("one", 1, self._type)
        if self._node.op == "Erfc":
            self._become("Sub", one, self._add("erf", "Erf", x))
        else:
            size = self._add("size", "Abs", x)
            self._become("RealDiv", x, self._add("larger", "AddV2", size, one))

    def lower_normalization(self) -> None:
        """`(x - mean) / √(variance + ε) · scale + offset`, with the statistics of x, per channel."""
        x, *parameters = self._node.input[:3]
        channels_last = self._node.attr["data_format"].s != b"NCHW"
        axes = self._integers("axes", [0, 1, 2] if channels_last else [0, 2, 3])
        shape = self._integers("shape", [1, 1, 1, -1] if channels_last else [1, -1, 1, 1])
        epsilon = self._constant("epsilon", self._node.attr["epsilon"].f, self._type)
        centred = self._add("centred", "Sub", x, self._mean("mean", x, axes))
        variance = self._mean("variance", self._add("square", "Square", centred), axes)
        deviation = self._add(
            "deviation", "Sqrt", self._add("positive", "AddV2", variance, epsilon)
        )
        scale, offset = (
            self._add(name, "Reshape", parameter, shape)
            for name, parameter in zip(("scale", "offset"), parameters, strict=True)
        )
        unit = self._add("unit", "RealDiv", centred, deviation)
        self._become("AddV2", self._add("scaled", "Mul", unit, scale), offset)

    def _mean(self, name: str, tensor: str, axes: str) -> str:
        node = self._graph.node.add(name=f"{self._node.name}/{name}")
        self._fill(node, "Mean", [tensor, axes])
        node.attr["keep_dims"].b = True
        return str(node.name)

    def lower_einsum(self, plan: _Product) -> None:
        left, right = self._node.input
        product = self._add(
            "product",
            "BatchMatMulV2",
            self._as_matrices("left", left, *plan.left),
            self._as_matrices("right", right, *plan.right),
        )
        shape, order = plan.result
        whole = self._add("whole", "Reshape", product, self._integers("whole_shape", shape))
        self._become("Transpose", whole, self._integers("order", order))

    def _as_matrices(self, side: str, tensor: str, order: list[int], shape: list[int]) -> str:
        axes = self._integers(f"{side}_order", order)
        turned = self._add(f"{side}_turned", "Transpose", tensor, axes)
        return self._add(side, "Reshape", turned, self._integers(f"{side}_shape", shape))

    def _integers(self, name: str, values: list[int]) -> str:
        import tensorflow as tf

        return self._constant(name, values, tf.int32.as_datatype_enum)

    def _constant(self, name: str, value: Any, dtype: int) -> str:
        import tensorflow as tf

        node = self._graph.node.add(name=f"{self._node.name}/{name}", op="Const")
        node.attr["dtype"].type = dtype
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype=dtype))
        return str(node.name)

    def _add(self, name: str, op: str, *inputs: str) -> str:
        node = self._graph.node.add(name=f"{self._node.name}/{name}")
        self._fill(node, op, inputs)
        return str(node.name)

    def _become(self, op: str, *inputs: str) -> None:
        self._node.attr.clear()
        self._fill(self._node, op, inputs)

    def _fill(self, node: Any, op: str, inputs: Sequence[str]) -> None:
        import tensorflow as tf

        node.op = op
        node.input[:] = inputs
        node.attr["T"].type = self._type
        if op in _INTEGERS:
            node.attr[_INTEGERS[op]].type = tf.int32.as_datatype_enum


def _reads_statistics(graph_def: Any, name: str) -> bool:
    """Whether anybody reads more than the first output of a node."""
    return any(i.startswith(f"{name}:") for node in graph_def.node for i in node.input)


def _plan(equation: str, left: Dims | None, right: Dims | None) -> _Product | None:
    """How to compute `equation` with one batched product, or None where that is not possible.

    Every label is in both operands and the result (batch), in both only (contracted), or in one and
    the result (rows, columns)::

        abc,cde->abde      rows ab, contracted c, columns de
        aecd,abcd->acbe    batch ac, rows e, contracted d, columns b
    """
    if left is None or right is None:
        return None
    sides, result = equation.replace(" ", "").split("->")
    a, b = sides.split(",")
    if "..." in equation:
        rank_a, rank_b = len(left) - len(a) + 3, len(right) - len(b) + 3
        dots = [rank for rank, labels in ((rank_a, a), (rank_b, b)) if "..." in labels]
        if len(set(dots)) > 1:
            return None  # operands of different rank are broadcast
        # Letters that an equation can't hold, one for each dimension behind the dots.
        letters = "".join(chr(ord("0") + i) for i in range(dots[0]))
        a, b, result = (labels.replace("...", letters) for labels in (a, b, result))
    if any(len(set(labels)) < len(labels) for labels in (a, b, result)):
        return None
    sizes: dict[str, int | None] = {}
    for label, size in [*zip(a, left, strict=True), *zip(b, right, strict=True)]:
        known = sizes.setdefault(label, size)
        if known is None:
            sizes[label] = size
        elif size not in (None, known):
            return None  # a dimension of 1 is broadcast
    batch = [x for x in a if x in b and x in result]
    contracted = [x for x in a if x in b and x not in result]
    rows = [x for x in a if x not in b]
    columns = [x for x in b if x not in a]
    if {*batch, *rows, *columns} != {*result}:
        return None
    whole = [*batch, *rows, *columns]
    if sum(sizes[x] is None for x in {*a, *b}) > 1:
        return None  # a reshape can leave one dimension open

    def product(labels: Sequence[str]) -> int:
        known = [sizes[x] for x in labels]
        return -1 if None in known else math.prod(d for d in known if d is not None)

    def shape(*groups: Sequence[str]) -> list[int]:
        return [product(group) for group in groups]

    return _Product(
        left=([a.index(x) for x in (*batch, *rows, *contracted)], shape(batch, rows, contracted)),
        right=(
            [b.index(x) for x in (*batch, *contracted, *columns)],
            shape(batch, contracted, columns),
        ),
        result=(shape(*whole), [whole.index(x) for x in result]),
    )


def _shapes(graph_def: Any, tensors: set[str]) -> dict[str, Dims | None]:
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    found: dict[str, Dims | None] = {}
    for name in tensors:
        tensor = graph.get_tensor_by_name(tensor_name(name))
        found[name] = None if tensor.shape.rank is None else tensor.shape.as_list()
    return found
