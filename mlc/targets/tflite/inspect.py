"""What is in a .tflite file, without running it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mlc.convert.metadata import Statement
from mlc.convert.network import TensorSpec
from mlc.targets.target import Summary
from mlc.targets.tflite import flatbuffer
from mlc.targets.tflite.census import count
from mlc.targets.tflite.label import METADATA, statements
from mlc.targets.tflite.standard import ENTRY

__all__ = ["declares", "inspect", "recognises"]


def inspect(path: Path) -> Summary:
    """Read inputs, outputs, operations, parameters and metadata."""
    data = path.read_bytes()
    model = flatbuffer.parse(data)
    main = model.subgraphs[0]
    census = count(model)
    signatures: list[Any] = model.signatureDefs or []
    signature = signatures[0] if len(signatures) == 1 else None
    return Summary(
        format="TFLite",
        inputs=_specs(main, main.inputs, signature.inputs if signature else ()),
        outputs=_specs(main, main.outputs, signature.outputs if signature else ()),
        ops=dict(flatbuffer.histogram(model).most_common()),
        parameters=census.parameters,
        weights=census.weights,
        metadata=_metadata(model, data),
    )


def declares(path: Path) -> tuple[Statement, ...]:
    """The facts in an entry of mlc's own, and TensorFlow's ModelMetadata with its labels file."""
    data = path.read_bytes()
    return statements(flatbuffer.parse(data), data)


def recognises(path: Path) -> bool:
    """A file that has the flatbuffer's identifier, or at least the suffix."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(8)[4:] == flatbuffer.IDENTIFIER or path.suffix == ".tflite"


def _specs(graph: Any, indices: Any, rows: Any) -> tuple[TensorSpec, ...]:
    names = {row.tensorIndex: flatbuffer.text(row.name) for row in rows or ()}
    return tuple(_spec(graph.tensors[i], names.get(i)) for i in indices)


def _spec(tensor: Any, name: str | None) -> TensorSpec:
    open_shape = tensor.shapeSignature
    shape = tensor.shape if open_shape is None or len(open_shape) == 0 else open_shape
    return TensorSpec(
        name or re.sub(r"^serving_default_|:\d+$", "", flatbuffer.text(tensor.name)),
        tuple(None if d < 0 else int(d) for d in (() if shape is None else shape)),
        flatbuffer.type_name(tensor.type),
    )


def _metadata(model: Any, data: bytes) -> dict[str, str]:
    """What mlc wrote, else what TensorFlow's schema holds, the description, and other entries by name."""
    found = statements(model, data)
    stated = dict(found[0].facts) if found else {}
    if model.description and not any(s.whole for s in found):
        stated = {"description": flatbuffer.text(model.description), **stated}
    shown = {k: v if isinstance(v, str) else json.dumps(v) for k, v in stated.items()}
    others = {flatbuffer.text(e.name) for e in model.metadata or ()} - {METADATA, ENTRY}
    return shown | ({"entries": ", ".join(sorted(others))} if others else {})
