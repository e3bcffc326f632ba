"""MIL `tensor_operation`, what ends a detector: `non_maximum_suppression`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlc.targets.coreml.evaluator.lowering import Call, Graph, lowers

__all__: list[str] = []


@lowers(
    "non_maximum_suppression", "boxes", "scores", "iou_threshold", "max_boxes",
    score_threshold=None, per_class_suppression=False, exact=True,
)  # fmt: skip
def non_maximum_suppression(graph: Graph, op: Call) -> Sequence[str]:
    """The best boxes, without those that overlap a better one; for one picture.

    Where MIL's documentation is silent, this does what Apple's tests expect: a box has the class of its
    best score; where no score is above the threshold the best box is chosen all the same; results are
    padded with zeros, indices with -1. From iOS 17 on boxes are the last axis, and there is no threshold.
    """
    late = graph.ios >= 17
    classes, batch = op["scores"].type.shape[1 if late else 2], op["scores"].type.shape[0]
    if batch != 1:
        raise op.unsupported("scores", "of several pictures")
    if classes is None:
        raise op.unsupported("scores", "of an open number of classes")
    order = (0, 2, 1) if late else (0, 1, 2)
    boxes, scores = (graph.transpose(op.tensor(p), order) for p in ("boxes", "scores"))
    most = op.integer("max_boxes")
    best = graph.node("ReduceMax", scores, graph.ints([2]), keepdims=0)  # [1, boxes]
    by_class = op.flag("per_class_suppression") and classes > 1
    given = graph.node("Unsqueeze", best, graph.ints([1]))
    if by_class:
        own = graph.node("ArgMax", scores, axis=2, keepdims=1)  # [1, boxes, 1]
        mine = graph.node("Equal", own, graph.ints(range(classes)))
        mine = graph.transpose(mine, (0, 2, 1))
        given = graph.node("Where", mine, given, graph.constant(np.float32(-np.inf)))
    lowest = graph.constant(np.finfo(np.float32).min)  # anything but what another class has
    found = graph.node(
        "NonMaxSuppression", boxes, given, graph.ints([most]), op.scalar("iou_threshold"),
        op.scalar("score_threshold") if "score_threshold" in op else lowest, center_point_box=1,
    )  # fmt: skip
    best = graph.node("Squeeze", best, graph.ints([0]))
    chosen = _or_the_best(
        graph, graph.node("Gather", found, graph.constant(np.int64(2)), axis=1), best
    )
    if by_class:
        chosen = _in_order(graph, chosen, best, most)
    count = graph.shape(chosen)
    missing = graph.node("Sub", graph.ints([most]), count)
    results = []
    for tensor in (boxes, scores):
        rows = graph.node("Gather", graph.node("Squeeze", tensor, graph.ints([0])), chosen, axis=0)
        ends = graph.node("Concat", graph.ints([0, 0]), missing, graph.ints([0]), axis=0)
        padded = graph.node("Unsqueeze", graph.node("Pad", rows, ends), graph.ints([0]))
        results.append(graph.transpose(padded, order))
    ends = graph.node("Concat", graph.ints([0]), missing, axis=0)
    indices = graph.node("Pad", chosen, ends, graph.constant(np.int64(-1)))
    results.append(graph.cast(graph.node("Unsqueeze", indices, graph.ints([0])), "int32"))
    return results if late else [*results, graph.cast(count, "int32")]


def _or_the_best(graph: Graph, chosen: str, best: str) -> str:
    """The chosen boxes; the one with the best score if there are none."""
    one = graph.ints([1])
    count = graph.node("Max", graph.shape(chosen), one)
    first = graph.node("Reshape", graph.node("ArgMax", best, axis=0), one)
    both = graph.node("Concat", chosen, first, axis=0)
    return graph.node("Slice", both, graph.ints([0]), count)


def _in_order(graph: Graph, chosen: str, best: str, most: int) -> str:
    """At most `most` of the chosen boxes, best score first: they come class by class."""
    scores = graph.node("Gather", best, chosen, axis=0)
    count = graph.node("Min", graph.shape(chosen), graph.ints([most]))
    _, places = graph.nodes("TopK", 2, scores, count, axis=0)
    return graph.node("Gather", chosen, places, axis=0)
