"""A spelling of LSTM cells that tf2onnx does not know → the one that it does."""

from __future__ import annotations

from typing import Any

__all__ = ["restore_sums"]


def restore_sums(graph_def: Any) -> None:
    """Undo what TensorFlow's optimizer makes of a sum when the batch is 1.

    tf2onnx finds the sum below in the body of a loop and makes one LSTM node of the loop, which runs
    ten times as fast. ::

        Before:  MatMul ──────────────┬─► BiasAdd          After:  MatMul ─┬─► AddV2
                 MatMul ─► Squeeze ───┘                            MatMul ─┘
    """
    bodies = [(f.node_def, f.ret) for f in graph_def.library.function]
    for nodes, results in ((graph_def.node, {}), *bodies):
        by_name = {node.name: node for node in nodes}
        for node in nodes:
            if node.op != "BiasAdd" or len(node.input) < 2:
                continue
            squeeze = by_name.get(_producer(node.input[1]))
            if squeeze is None or squeeze.op != "Squeeze":
                continue
            product = by_name.get(_producer(squeeze.input[0]))
            # A product has two dimensions, and Squeeze left one of them for BiasAdd: the other is 1.
            if product is not None and product.op == "MatMul":
                node.op = "AddV2"
                node.attr.pop("data_format", None)
                node.input[1] = squeeze.input[0]
                _rename_results(nodes, results, node.name)


def _producer(reference: str) -> str:
    """`name`, `name:0` or, inside functions, `name:output:0` → `name`."""
    return reference.removeprefix("^").split(":")[0]


def _rename_results(nodes: Any, results: Any, name: str) -> None:
    """Inside functions a result goes by the op's own name for it: `output` becomes `z`."""
    for node in nodes:
        for i, reference in enumerate(node.input):
            if reference == f"{name}:output:0":
                node.input[i] = f"{name}:z:0"
    for key, reference in dict(results).items():
        if reference == f"{name}:output:0":
            results[key] = f"{name}:z:0"
