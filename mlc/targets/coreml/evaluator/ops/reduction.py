"""MIL `reduction`."""

from __future__ import annotations

from mlc.targets.coreml.evaluator.lowering import Call, Graph, lowers

__all__: list[str] = []


def _reduces(kind: str, onnx: str, *, exact: bool = False) -> None:
    @lowers(kind, "x", axes=None, keep_dims=False, exact=exact)
    def lower(graph: Graph, op: Call) -> str:
        axes = op.axes("axes", op["x"].type.rank)
        over = "" if axes is None else graph.ints(axes)
        return graph.node(onnx, op.tensor("x"), over, keepdims=int(op.flag("keep_dims")))


for _kind, _onnx in {
    "reduce_l1_norm": "ReduceL1",
    "reduce_l2_norm": "ReduceL2",
    "reduce_log_sum": "ReduceLogSum",
    "reduce_log_sum_exp": "ReduceLogSumExp",
    "reduce_mean": "ReduceMean",
    "reduce_prod": "ReduceProd",
    "reduce_sum": "ReduceSum",
    "reduce_sum_square": "ReduceSumSquare",
}.items():
    _reduces(_kind, _onnx)
_reduces("reduce_max", "ReduceMax", exact=True)
_reduces("reduce_min", "ReduceMin", exact=True)


def _argument(graph: Graph, op: Call, onnx: str) -> str:
    """The first index of the extreme element, as int32 or uint16."""
    declared = {"int32": "int32", "uint16": "uint16"}.get(op.text("output_dtype"))
    if declared != op.result.dtype:
        raise op.unsupported("output_dtype", f"{op.text('output_dtype')} for {op.result}")
    found = graph.node(
        onnx, op.tensor("x"), axis=op.integer("axis"), keepdims=int(op.flag("keep_dims"))
    )
    return graph.cast(found, "int32")


@lowers("reduce_argmax", "x", axis=-1, keep_dims=False, output_dtype="int32", exact=True)
def reduce_argmax(graph: Graph, op: Call) -> str:
    """Where the largest element is."""
    return _argument(graph, op, "ArgMax")


@lowers("reduce_argmin", "x", axis=-1, keep_dims=False, output_dtype="int32", exact=True)
def reduce_argmin(graph: Graph, op: Call) -> str:
    """Where the smallest element is."""
    return _argument(graph, op, "ArgMin")
