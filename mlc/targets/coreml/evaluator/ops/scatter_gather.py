"""MIL `scatter_gather`.

Indices count from zero. Negative ones count from the end up to iOS 16; since iOS 17 they are out of
bounds, and what an op does then is undefined, so a program that relies on it is wrong anyway.
Indices beyond the end make the run fail. `validate_indices` asks for that same check at run time, but
onnxruntime lets negative indices pass, so a program that asks for it is refused.
"""

from __future__ import annotations

import numpy as np

from mlc.targets.coreml.evaluator.lowering import Call, Graph, lowers

__all__: list[str] = []

_REDUCTIONS = {
    "update": "none",
    "add": "add",
    "sub": "add",
    "mul": "mul",
    "max": "max",
    "min": "min",
}


def _unchecked(op: Call) -> None:
    if op.flag("validate_indices"):
        raise op.unsupported("validate_indices", "it must be false")


def _indices(graph: Graph, op: Call) -> str:
    return graph.cast(op.tensor("indices"), "int64")


@lowers("gather", "x", "indices", axis=0, batch_dims=0, validate_indices=False, exact=True)
def gather(graph: Graph, op: Call) -> str:
    """Slices of x along an axis, at positions that may differ from batch to batch."""
    _unchecked(op)
    rank, batch = op["x"].type.rank, op.integer("batch_dims")
    axis = op.axis("axis", rank)
    if batch == 0:
        return graph.node("Gather", op.tensor("x"), op.tensor("indices"), axis=axis)
    count = op["indices"].type.rank
    batch %= count
    # GatherND looks up right behind the batch axes: bring `axis` there, and the result back.
    order = [*range(batch), axis, *(a for a in range(batch, rank) if a != axis)]
    x = graph.transpose(op.tensor("x"), order)
    at = graph.node("Unsqueeze", _indices(graph, op), graph.ints([-1]))
    found = graph.node("GatherND", x, at, batch_dims=batch)
    looked, between = count - batch, axis - batch
    behind = rank - axis - 1
    back = [
        *range(batch),
        *range(batch + looked, batch + looked + between),
        *range(batch, batch + looked),
        *range(batch + looked + between, batch + looked + between + behind),
    ]
    return graph.transpose(found, back)


@lowers("gather_along_axis", "x", "indices", axis=0, validate_indices=False, exact=True)
def gather_along_axis(graph: Graph, op: Call) -> str:
    """One element of x for each index, the other coordinates being the index's own."""
    _unchecked(op)
    axis = op.axis("axis", op["x"].type.rank)
    return graph.node("GatherElements", op.tensor("x"), op.tensor("indices"), axis=axis)


@lowers("gather_nd", "x", "indices", batch_dims=0, validate_indices=False, exact=True)
def gather_nd(graph: Graph, op: Call) -> str:
    """Slices of x at coordinates that the last axis of the indices holds."""
    _unchecked(op)
    return graph.node(
        "GatherND", op.tensor("x"), _indices(graph, op), batch_dims=op.integer("batch_dims")
    )


def _combined(graph: Graph, op: Call) -> tuple[str, str]:
    """The updates, and how ONNX is to combine them with what is there."""
    mode, updates = op.text("mode"), op.tensor("updates")
    if mode not in _REDUCTIONS:
        raise op.unsupported("mode", mode)
    return graph.node("Neg", updates) if mode == "sub" else updates, _REDUCTIONS[mode]


@lowers("scatter", "data", "indices", "updates", axis=0, mode="add", validate_indices=False)
def scatter(graph: Graph, op: Call) -> str:
    """Combine whole slices of `data` along an axis with `updates`."""
    _unchecked(op)
    rank = op["data"].type.rank
    axis = op.axis("axis", rank)
    # ScatterND combines along the first axis: bring `axis` there, or the indices' axes in its place.
    front = [axis, *(a for a in range(rank) if a != axis)]
    count = op["indices"].type.rank
    looked = list(range(axis, axis + count))
    others = [a for a in range(rank - 1 + count) if a not in looked]
    updates, reduction = _combined(graph, op)
    at = graph.node("Unsqueeze", _indices(graph, op), graph.ints([-1]))
    done = graph.node(
        "ScatterND",
        graph.transpose(op.tensor("data"), front),
        at,
        graph.transpose(updates, [*looked, *others]),
        reduction=reduction,
    )
    return graph.transpose(done, [int(i) for i in np.argsort(front)])


@lowers(
    "scatter_along_axis", "data", "indices", "updates", axis=0, mode="add", validate_indices=False
)
def scatter_along_axis(graph: Graph, op: Call) -> str:
    """Combine single elements, the other coordinates being those of the index."""
    _unchecked(op)
    updates, reduction = _combined(graph, op)
    return graph.node(
        "ScatterElements",
        op.tensor("data"),
        op.tensor("indices"),
        updates,
        axis=op.axis("axis", op["data"].type.rank),
        reduction=reduction,
    )


@lowers("scatter_nd", "data", "indices", "updates", mode="add", validate_indices=False)
def scatter_nd(graph: Graph, op: Call) -> str:
    """Combine slices at coordinates that the last axis of the indices holds."""
    _unchecked(op)
    updates, reduction = _combined(graph, op)
    return graph.node(
        "ScatterND", op.tensor("data"), _indices(graph, op), updates, reduction=reduction
    )
