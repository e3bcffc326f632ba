"""What stands in `model.json`, read and checked without running anything."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mlc.convert.metadata import Statement, from_texts
from mlc.convert.network import TensorSpec
from mlc.errors import SourceError, UnverifiableError
from mlc.optimize.recipe import Precision
from mlc.targets.target import Summary

__all__ = ["GraphModel", "Port", "declares", "inspect", "read", "recognises"]

# TF.js computes in these three; every other number is held as one of them.
_HELD = {
    "DT_FLOAT": "float32",
    "DT_HALF": "float32",
    "DT_BFLOAT16": "float32",
    "DT_DOUBLE": "float32",
    "DT_INT8": "int32",
    "DT_INT16": "int32",
    "DT_INT32": "int32",
    "DT_INT64": "int32",
    "DT_UINT8": "int32",
    "DT_UINT16": "int32",
    "DT_BOOL": "bool",
}

_NOT_COUNTED = ("Const", "Placeholder", "NoOp")


@dataclass(frozen=True)
class Port:
    """An input or output: what it is called outside, and inside the graph (`scores:0`)."""

    spec: TensorSpec
    tensor: str


@dataclass(frozen=True)
class GraphModel:
    """A graph model whose shards are all there."""

    file: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    ops: Mapping[str, int]
    parameters: int
    weights: Precision
    metadata: Mapping[str, str]


def recognises(path: Path) -> bool:
    """Whether `path` is a TF.js `model.json`, or a folder with one."""
    try:
        model = json.loads(_model_json(path).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(model, dict) and {"modelTopology", "weightsManifest"} <= model.keys()


def inspect(path: Path) -> Summary:
    """Inputs, outputs, ops and metadata from `model.json`; ops of loop bodies and branches count."""
    model = read(path)
    return Summary(
        format="TF.js graph model",
        inputs=tuple(port.spec for port in model.inputs),
        outputs=tuple(port.spec for port in model.outputs),
        ops=model.ops,
        parameters=model.parameters,
        weights=model.weights,
        metadata=model.metadata,
    )


def declares(path: Path) -> tuple[Statement, ...]:
    """The `userDefinedMetadata`, where there are some of ours."""
    facts = from_texts(read(path).metadata)
    return (Statement("userDefinedMetadata", facts, whole="mlc" in facts),) if facts else ()


def read(path: Path) -> GraphModel:
    """Read a folder or its `model.json`.

    Raises `SourceError` where something is broken or missing, and `UnverifiableError` for a layers
    model, TF.js' other format, which holds Keras layers instead of a graph.
    """
    file = _model_json(path)
    try:
        model = json.loads(file.read_bytes())
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror}.", "Check the path.") from error
    except ValueError as error:
        raise SourceError(f"{file} is not JSON.", "Emit or download the model again.") from error
    if isinstance(model, dict) and model.get("format") == "layers-model":
        raise UnverifiableError(
            f"{file} is a TF.js layers model; mlc runs graph models only.",
            "Build the TF.js target from the model that it was made of.",
        )
    try:
        graph = _graph_model(file, model)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"{file} is not a whole TF.js graph model ({error!r}).",
            "Emit or download the model again.",
        ) from error
    _check_shards(file, model["weightsManifest"])
    return graph


def _model_json(path: Path) -> Path:
    return path / "model.json" if path.is_dir() else path


def _graph_model(file: Path, model: dict[str, Any]) -> GraphModel:
    topology = model["modelTopology"]
    nodes = topology["node"]
    bodies = [f.get("nodeDef", []) for f in topology.get("library", {}).get("function", [])]
    weights = [w for group in model["weightsManifest"] for w in group["weights"]]
    metadata = {
        **(model.get("userDefinedMetadata") or {}),
        **{key: model[key] for key in ("generatedBy", "convertedBy") if model.get(key)},
    }
    ops = Counter(n["op"] for part in (nodes, *bodies) for n in part)
    signature = model.get("signature") or model.get("userDefinedMetadata", {}).get("signature", {})
    inputs, outputs = signature.get("inputs"), signature.get("outputs")
    return GraphModel(
        file=file,
        inputs=_ports(inputs, nodes) if inputs else _placeholders(nodes),
        outputs=_ports(outputs, nodes) if outputs else _ends(nodes),
        ops={op: count for op, count in sorted(ops.items()) if op not in _NOT_COUNTED},
        parameters=sum(math.prod(w["shape"]) for w in weights if w["dtype"] == "float32"),
        weights=_precision(weights),
        metadata={k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()},
    )


def _precision(weights: Sequence[dict[str, Any]]) -> Precision:
    """The narrowest format that a tenth of the numbers has: fewer is not what the file is.

    uint16, which the stock converter can write, counts as float32.
    """
    stored: dict[str, Precision] = {"float16": "float16", "uint8": "int8"}
    sizes: Counter[Precision] = Counter()
    for weight in weights:
        if weight["dtype"] == "float32":
            kind = stored.get(weight.get("quantization", {}).get("dtype"), "float32")
            sizes[kind] += math.prod(weight["shape"])
    enough = max(1, sizes.total() / 10)
    if sizes["int8"] >= enough:
        return "int8"
    return "float16" if sizes["float16"] >= enough else "float32"


def _ports(signature: dict[str, Any], nodes: Sequence[dict[str, Any]]) -> tuple[Port, ...]:
    """The ports of a signature, without the handles of hash tables.

    The stock converter writes neither type nor shape where it was given a frozen graph: the type is
    then the node's, and the shape is given as one open dimension.
    """
    by_name = {node["name"]: node for node in nodes}
    ports = []
    for key, info in signature.items():
        if "resourceId" in info or info.get("dtype") == "DT_RESOURCE":
            continue
        tensor = info["name"]
        dtype = info.get("dtype") or _dtype(by_name[tensor.split(":")[0]])
        shape = _shape(info["tensorShape"]) if "tensorShape" in info else (None,)
        name = key.removesuffix(":0")
        ports.append(Port(TensorSpec(name, shape, _HELD.get(dtype, dtype)), tensor))
    return tuple(ports)


def _placeholders(nodes: Sequence[dict[str, Any]]) -> tuple[Port, ...]:
    return tuple(_port(n) for n in nodes if n["op"] in ("Placeholder", "PlaceholderWithDefault"))


def _ends(nodes: Sequence[dict[str, Any]]) -> tuple[Port, ...]:
    """Nodes that no other reads: what TF.js itself takes for outputs without a signature."""
    read = {i.lstrip("^").split(":")[0] for node in nodes for i in node.get("input", [])}
    return tuple(_port(n) for n in nodes if n["name"] not in read and n["op"] not in _NOT_COUNTED)


def _port(node: dict[str, Any]) -> Port:
    shape = node.get("attr", {}).get("shape", {}).get("shape")
    dims = (None,) if shape is None else _shape(shape)
    dtype = _dtype(node)
    return Port(TensorSpec(node["name"], dims, _HELD.get(dtype, dtype)), node["name"])


def _dtype(node: dict[str, Any]) -> str:
    attributes = node.get("attr", {})
    for key in ("dtype", "T", "DstT", "output_type"):
        if "type" in attributes.get(key, {}):
            return str(attributes[key]["type"])
    return "DT_FLOAT"


def _shape(proto: dict[str, Any]) -> tuple[int | None, ...]:
    if proto.get("unknownRank"):
        return (None,)
    sizes = [int(dim.get("size", 0)) for dim in proto.get("dim", [])]
    return tuple(None if size < 0 else size for size in sizes)


def _check_shards(file: Path, manifest: Sequence[dict[str, Any]]) -> None:
    """Every shard must lie beside `model.json`, and together they must be as long as the weights."""
    for group in manifest:
        present = 0
        for name in group["paths"]:
            shard = PurePosixPath(name)
            if shard.is_absolute() or ".." in shard.parts:
                raise SourceError(
                    f"{file} names a shard outside its folder: {name!r}.",
                    "Don't use this file: it may want to read what is not its own.",
                )
            try:
                present += (file.parent / shard).stat().st_size
            except OSError:
                raise SourceError(
                    f"{file.parent} lacks the shard {name}.", "Emit or download the model again."
                ) from None
        if any(w["dtype"] == "string" for w in group["weights"]):
            continue  # text has no length in the manifest
        expected = sum(math.prod(w["shape"]) * _item_bytes(w) for w in group["weights"])
        if present != expected:
            raise SourceError(
                f"The shards in {file.parent} hold {present} bytes, model.json says {expected}.",
                "Emit or download the model again.",
            )


def _item_bytes(weight: dict[str, Any]) -> int:
    dtype = weight.get("quantization", {}).get("dtype", weight["dtype"])
    return np.dtype(dtype).itemsize
