"""MIL `tensor_operation`: joining, splitting, sorting, filling and the like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlc.targets.coreml.evaluator.lowering import Call, Graph, lowers, widened

__all__: list[str] = []


@lowers("identity", "x", exact=True)
def identity(graph: Graph, op: Call) -> str:
    """The same tensor."""
    return op.tensor("x")


@lowers("shape", "x", exact=True)
def shape(graph: Graph, op: Call) -> str:
    """The dimensions, as int32."""
    return graph.cast(graph.shape(op.tensor("x")), "int32")


@lowers("concat", "values", "axis", interleave=False, exact=True)
def concat(graph: Graph, op: Call) -> str:
    """Join along an axis; with `interleave` the inputs take turns element by element.

    Scalars count as vectors of one element.
    """
    rank = max(1, op.values("values")[0].type.rank)
    axis = op.axis("axis", rank)
    names = [
        graph.node("Unsqueeze", name, graph.ints([0])) if value.type.rank == 0 else name
        for name, value in zip(op.tensors("values"), op.values("values"), strict=True)
    ]
    if not op.flag("interleave"):
        return graph.node("Concat", *names, axis=axis)
    # Side by side on a new axis behind `axis`, which the reshape then merges into it.
    after = graph.ints([axis + 1])
    stacked = graph.node(
        "Concat", *(graph.node("Unsqueeze", n, after) for n in names), axis=axis + 1
    )
    before = graph.shape(names[0], 0, axis)
    rest = graph.shape(names[0], axis + 1)
    return graph.node(
        "Reshape", stacked, graph.node("Concat", before, graph.ints([-1]), rest, axis=0)
    )


@lowers("stack", "values", "axis", exact=True)
def stack(graph: Graph, op: Call) -> str:
    """Join along a new axis."""
    axis = op.axis("axis", op.values("values")[0].type.rank + 1)
    at = graph.ints([axis])
    return graph.node(
        "Concat", *(graph.node("Unsqueeze", n, at) for n in op.tensors("values")), axis=axis
    )


@lowers("split", "x", "axis", num_splits=None, split_sizes=None, exact=True)
def split(graph: Graph, op: Call) -> Sequence[str]:
    """Cut along an axis, in equal parts or in the given sizes."""
    count = len(op.op.outputs)
    if "num_splits" in op and op.integer("num_splits") != count:
        raise op.unsupported("num_splits", f"it differs from the {count} results")
    axis = op.integer("axis")
    if "split_sizes" in op:
        return graph.nodes("Split", count, op.tensor("x"), op.int64("split_sizes"), axis=axis)
    return graph.nodes("Split", count, op.tensor("x"), axis=axis, num_outputs=count)


@lowers("tile", "x", "reps", exact=True)
def tile(graph: Graph, op: Call) -> str:
    """Repeat along each axis."""
    return graph.node("Tile", op.tensor("x"), op.int64("reps"))


@lowers("pad", "x", "pad", mode="constant", constant_val=0.0, exact=True)
def pad(graph: Graph, op: Call) -> str:
    """Pad the last axes; `pad` holds (before, after) for each of them."""
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
    mode, rank = op.text("mode"), op["x"].type.rank
    if mode not in modes:
        raise op.unsupported("mode", mode)
    if op["pad"].is_constant:
        sizes = op.integers("pad") or []
        skipped = [0] * (rank - len(sizes) // 2)
        amounts = graph.ints([*skipped, *sizes[0::2], *skipped, *sizes[1::2]])
    else:  # MIL then wants every axis: [before, after] per axis -> all before, all after
        pairs = graph.node("Reshape", op.int64("pad"), graph.ints([rank, 2]))
        amounts = graph.node("Reshape", graph.node("Transpose", pairs), graph.ints([-1]))
    if mode != "constant":
        op.irrelevant("constant_val")
        return graph.node("Pad", op.tensor("x"), amounts, mode=modes[mode])
    value = np.asarray(op.constant("constant_val")).reshape(())
    fill = value.astype(np.float32 if op.result.is_float else np.int32)
    return graph.node("Pad", op.tensor("x"), amounts, graph.constant(fill), mode="constant")


@lowers("fill", "shape", value=0.0, exact=True)
def fill(graph: Graph, op: Call) -> str:
    """A tensor of one value."""
    return graph.node("Expand", _value(graph, op), op.int64("shape"))


@lowers("fill_like", "ref_tensor", value=0.0, exact=True)
def fill_like(graph: Graph, op: Call) -> str:
    """A tensor of one value, in the shape of another."""
    return graph.node("Expand", _value(graph, op), graph.shape(op.tensor("ref_tensor")))


def _value(graph: Graph, op: Call) -> str:
    value = np.asarray(op.constant("value"))
    return graph.constant(widened(value.astype(op.result.dtype)).reshape(()))


@lowers("range_1d", "end", "start", "step")
def range_1d(graph: Graph, op: Call) -> str:
    """start, start + step, ... as long as below `end`."""
    return graph.node("Range", *(_scalar(graph, op, p) for p in ("start", "end", "step")))


def _scalar(graph: Graph, op: Call, parameter: str) -> str:
    name = op.tensor(parameter)
    return name if op[parameter].type.rank == 0 else graph.node("Squeeze", name)


@lowers("one_hot", "indices", "one_hot_vector_size", axis=-1, on_value=1, off_value=0, exact=True)
def one_hot(graph: Graph, op: Call) -> str:
    """`on_value` where the position along the new axis is the index, elsewhere `off_value`.

    An index outside of the axis, a negative one too, gives a vector without `on_value`, as in
    TensorFlow.
    """
    rank = op["indices"].type.rank + 1
    axis = op.axis("axis", rank)
    size = _scalar(graph, op, "one_hot_vector_size")
    zero, one = graph.constant(np.int32(0)), graph.constant(np.int32(1))
    positions = graph.node("Range", zero, size, one)
    along = [1] * rank
    along[axis] = -1
    positions = graph.node("Reshape", positions, graph.ints(along))
    indices = graph.node("Unsqueeze", op.tensor("indices"), graph.ints([axis]))
    chosen = graph.node("Equal", indices, positions)
    values = [
        graph.constant(widened(np.asarray(op.constant(p)).astype(op.result.dtype)).reshape(()))
        for p in ("on_value", "off_value")
    ]
    return graph.node("Where", chosen, *values)


@lowers("non_zero", "x", exact=True)
def non_zero(graph: Graph, op: Call) -> str:
    """Positions of the elements that are not zero, one row each."""
    found = graph.node("NonZero", op.tensor("x"))
    return graph.cast(graph.node("Transpose", found, perm=[1, 0]), "int32")


@lowers("cumsum", "x", axis=0, exclusive=False, reverse=False)
def cumsum(graph: Graph, op: Call) -> str:
    """Sums of all elements up to each; `exclusive` leaves the element itself out."""
    return graph.node(
        "CumSum",
        op.tensor("x"),
        graph.constant(np.int64(op.axis("axis", op["x"].type.rank))),
        exclusive=int(op.flag("exclusive")),
        reverse=int(op.flag("reverse")),
    )


@lowers("band_part", "x", lower=-1, upper=-1, exact=True)
def band_part(graph: Graph, op: Call) -> str:
    """Keep a band around the diagonal of the last two axes; a negative width keeps everything."""
    name, lower, upper = op.tensor("x"), op.integer("lower"), op.integer("upper")
    boolean = op.result.dtype == "bool"
    if boolean:  # Trilu knows no bool
        name = graph.cast(name, "int32")
    if lower >= 0:
        name = graph.node("Trilu", name, graph.constant(np.int64(-lower)), upper=1)
    if upper >= 0:
        name = graph.node("Trilu", name, graph.constant(np.int64(upper)), upper=0)
    return graph.cast(name, "bool") if boolean else name


def _length(graph: Graph, name: str, axis: int) -> str:
    """The size of one axis, as a vector of one int64."""
    return graph.shape(name, axis, axis + 1)


@lowers("argsort", "x", axis=-1, ascending=False, exact=True)
def argsort(graph: Graph, op: Call) -> str:
    """The order of the elements along an axis; of equal ones the first comes first."""
    name, axis = op.tensor("x"), op.axis("axis", op["x"].type.rank)
    _, order = graph.nodes(
        "TopK",
        2,
        name,
        _length(graph, name, axis),
        axis=axis,
        largest=int(not op.flag("ascending")),
    )
    return graph.cast(order, "int32")


@lowers(
    "topk", "x",
    k=1, axis=-1, ascending=False, sort=True, return_indices=True, output_indices_dtype="int32",
    exact=True,
)  # fmt: skip
def topk(graph: Graph, op: Call) -> Sequence[str]:
    """The k largest (or smallest) elements along an axis and where they are; k = -1 takes all.

    Without `sort` MIL promises no order, so the sorted one is right too.
    """
    op.irrelevant("sort")
    name, axis, k = op.tensor("x"), op.axis("axis", op["x"].type.rank), op.integer("k")
    count = _length(graph, name, axis) if k == -1 else graph.ints([k])
    values, where = graph.nodes(
        "TopK", 2, name, count, axis=axis, largest=int(not op.flag("ascending"))
    )
    if not op.flag("return_indices"):
        return [values]
    if op.text("output_indices_dtype") != op.op.outputs[1].type.dtype:
        raise op.unsupported("output_indices_dtype", op.text("output_indices_dtype"))
    return [values, graph.cast(where, "int32")]


@lowers("flatten2d", "x", axis=1, exact=True)
def flatten2d(graph: Graph, op: Call) -> str:
    """A matrix: the axes before `axis` become rows, the others columns."""
    rank = op["x"].type.rank
    axis = op.integer("axis")
    return graph.node("Flatten", op.tensor("x"), axis=axis + rank if axis < 0 else axis)
