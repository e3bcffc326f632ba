"""What is in a .onnx file, without running it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlc.convert.metadata import Statement, from_texts
from mlc.convert.network import TensorSpec
from mlc.targets.onnx.census import count
from mlc.targets.onnx.file import parse
from mlc.targets.target import Summary

__all__ = ["declares", "inspect", "recognises"]


def inspect(path: Path) -> Summary:
    """Read inputs, outputs, operations (subgraphs included), parameters and metadata."""
    model = parse(path)
    census = count(model)
    constants = {tensor.name for tensor in model.graph.initializer}
    return Summary(
        format=f"ONNX opset {_opset(model)}",
        # Files of the oldest format list their weights among the inputs.
        inputs=tuple(_spec(v) for v in model.graph.input if v.name not in constants),
        outputs=tuple(_spec(v) for v in model.graph.output),
        ops=dict(census.ops.most_common()),
        parameters=census.parameters.total(),
        weights=census.weights,
        metadata={p.key: p.value for p in model.metadata_props} or _producer(model),
    )


def declares(path: Path) -> tuple[Statement, ...]:
    """The `metadata_props`, where there are some of ours."""
    facts = from_texts({p.key: p.value for p in parse(path).metadata_props})
    return (Statement("metadata_props", facts, whole="mlc" in facts),) if facts else ()


def recognises(path: Path) -> bool:
    """By the suffix: ONNX files have no mark of their own."""
    return path.suffix == ".onnx" and path.is_file()


def _opset(model: Any) -> int:
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)


def _spec(value: Any) -> TensorSpec:
    import onnx

    kind = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name if kind.elem_type else "?"
    return TensorSpec(
        value.name,
        tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim),
        "string" if dtype == "object" else dtype,
    )


def _producer(model: Any) -> dict[str, str]:
    producer = f"{model.producer_name} {model.producer_version}".strip()
    return {"producer": producer} if producer else {}
