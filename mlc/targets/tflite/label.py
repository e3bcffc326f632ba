"""Names, signature and metadata, written into the flatbuffer after conversion."""

from __future__ import annotations

import json
from typing import Any

from mlc.convert.metadata import Statement, facts_of
from mlc.convert.network import Network
from mlc.targets.tflite import standard
from mlc.targets.tflite.flatbuffer import array, text

__all__ = ["METADATA", "SIGNATURE", "label", "statements"]

SIGNATURE = "serving_default"
METADATA = "mlc"  # name of the metadata entry, a JSON object


def label(model: Any, network: Network) -> None:
    """Give the model the network's names, a signature by them, a description, and metadata twice: mlc's
    own, which hold every fact, and those of TensorFlow's schema, which its tools read.
    """
    _name(model, network)
    _sign(model, network)
    facts = facts_of(network)
    model.description = _describe(facts)
    _attach(model, METADATA, json.dumps(facts, ensure_ascii=False).encode())
    _attach(model, standard.ENTRY, standard.describe(network))


def statements(model: Any, data: bytes) -> tuple[Statement, ...]:
    """What a file, whose bytes are `data`, says of itself; raises `SourceError` where that is damaged."""
    entries = {text(e.name): e.buffer for e in model.metadata or ()}
    found = []
    if METADATA in entries:
        facts = json.loads(bytes(model.buffers[entries[METADATA]].data))
        found.append(Statement(f"metadata entry {METADATA!r}", facts, whole=True))
    if standard.ENTRY in entries:
        facts = standard.stated(data, bytes(model.buffers[entries[standard.ENTRY]].data))
        found.append(Statement(standard.ENTRY, facts, whole=False))
    return tuple(found)


def _name(model: Any, network: Network) -> None:
    """Name input and output tensors. One that is both, or is two outputs, keeps its first name."""
    main = model.subgraphs[0]
    named: set[int] = set()
    for indices, specs in ((main.inputs, network.inputs), (main.outputs, network.outputs)):
        for index, spec in zip(indices, specs, strict=True):
            if index not in named:
                main.tensors[index].name = spec.name
                named.add(index)


def _sign(model: Any, network: Network) -> None:
    from ai_edge_litert import schema_py_generated as schema

    def maps(indices: Any, specs: Any) -> list[Any]:
        # Runtimes list a signature's names in this order, so it is the network's own.
        rows = []
        for index, spec in zip(indices, specs, strict=True):
            row = schema.TensorMapT()
            row.name, row.tensorIndex = spec.name, int(index)
            rows.append(row)
        return rows

    main = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey = SIGNATURE
    signature.subgraphIndex = 0
    signature.inputs = maps(main.inputs, network.inputs)
    signature.outputs = maps(main.outputs, network.outputs)
    model.signatureDefs = [signature]


def _describe(facts: dict[str, Any]) -> str:
    lines = [
        f"{facts['name']} {facts['version']}",
        facts.get("description", ""),
        f"Author: {facts['author']}" if "author" in facts else "",
        f"License: {facts['license']}" if "license" in facts else "",
        f"Source: {facts['source']} ({facts['source_kind']}), SHA-256 {facts['source_sha256']}",
        f"Compiled by mlc {facts['mlc']}",
    ]
    return "\n".join(line for line in lines if line)


def _attach(model: Any, name: str, content: bytes) -> None:
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    buffer.data = array(content)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = name, len(model.buffers) - 1
    model.metadata = [*(model.metadata or ()), entry]
