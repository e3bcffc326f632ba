"""TensorFlow's own metadata schema of TFLite files: ModelMetadata, and the labels as an associated file.

The schema is a flatbuffer in the metadata entry `TFLITE_METADATA`; its associated files are a zip archive
behind the end of the model (https://www.tensorflow.org/lite/models/convert/metadata). Android Studio, the
Task Library and MediaPipe read it.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

from mlc.convert.metadata import facts_of, view
from mlc.convert.network import Network, TensorSpec
from mlc.convert.pictures import picture_input
from mlc.errors import SourceError
from mlc.targets.tflite import tables
from mlc.targets.tflite.tables import Union

__all__ = ["ENTRY", "attach_files", "describe", "stated"]

ENTRY = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
_LABELS = "labels.txt"
_LARGEST = 10 * 2**20  # bytes of a labels file that is read

# The part of the schema that we fill in, with every field's slot, up to its version 1.0.0.
_SCHEMA: tables.Schema = {
    "ModelMetadata": {
        "name": "string",
        "description": "string",
        "version": "string",
        "subgraph_metadata": ["SubGraphMetadata"],
        "author": "string",
        "license": "string",
        "associated_files": ["AssociatedFile"],
        "min_parser_version": "string",
    },
    "SubGraphMetadata": {
        "name": "string",
        "description": "string",
        "input_tensor_metadata": ["TensorMetadata"],
        "output_tensor_metadata": ["TensorMetadata"],
    },
    "TensorMetadata": {
        "name": "string",
        "description": "string",
        "dimension_names": ["string"],
        "content": "Content",
        "process_units": ["ProcessUnit"],
        "stats": "Stats",
        "associated_files": ["AssociatedFile"],
    },
    "Content": {"content_properties": Union(("FeatureProperties", "ImageProperties"))},
    "FeatureProperties": {},
    "ImageProperties": {"color_space": "byte", "default_size": "ImageSize"},
    "ImageSize": {"width": "uint", "height": "uint"},
    "ProcessUnit": {"options": Union(("NormalizationOptions",))},
    "NormalizationOptions": {"mean": ["float"], "std": ["float"]},
    "Stats": {"max": ["float"], "min": ["float"]},
    "AssociatedFile": {"name": "string", "description": "string", "type": "byte"},
}
_AXIS_LABELS, _VALUE_LABELS = 2, 3  # one label per column of a tensor; one per value of it
_COLOR_SPACES = {"rgb": 1, "gray": 2}  # the schema has none for BGR: it stays unknown


def describe(network: Network) -> bytes:
    """The ModelMetadata of a network."""
    facts = facts_of(network)
    metadata: dict[str, Any] = {
        **{
            k: facts[k]
            for k in ("name", "description", "version", "author", "license")
            if k in facts
        },
        "subgraph_metadata": [
            {
                "input_tensor_metadata": [_input(network, spec) for spec in network.inputs],
                "output_tensor_metadata": [_output(network, spec) for spec in network.outputs],
            }
        ],
        "min_parser_version": "1.0.0",
    }
    return tables.write(_SCHEMA, "ModelMetadata", metadata, _IDENTIFIER)


def attach_files(model: bytes, network: Network) -> bytes:
    """The file with its labels behind it, in a zip archive that has the same bytes every time."""
    if not network.labels:
        return model
    file = io.BytesIO(model)
    file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file, "a") as archive:
        entry = zipfile.ZipInfo(_LABELS)  # of 1980: no clock
        entry.create_system, entry.external_attr = 3, 0o644 << 16  # whatever system we are on
        archive.writestr(entry, "".join(f"{' '.join(label.split())}\n" for label in network.labels))
    return file.getvalue()


def stated(model: bytes, metadata: bytes) -> dict[str, Any]:
    """Facts that a file states by this schema, whoever wrote it.

    Raises `SourceError` where the metadata are damaged, or the labels that they name are not there.
    """
    try:
        found = tables.read(_SCHEMA, "ModelMetadata", metadata)
    except (
        struct.error,
        ValueError,
        TypeError,
        IndexError,
        OverflowError,
        RecursionError,
    ) as error:
        raise SourceError("Its TFLite metadata are damaged.", "Build the file again.") from error
    names = ("name", "description", "version", "author", "license")
    facts = {name: found[name] for name in names if found.get(name)}
    graph: dict[str, Any] = next(iter(found.get("subgraph_metadata", [])), {})
    for tensor in graph.get("input_tensor_metadata", [])[:1]:
        facts |= _picture(tensor)
    for tensor in graph.get("output_tensor_metadata", [])[:1]:
        for file in tensor.get("associated_files", []):
            if file.get("type") in (_AXIS_LABELS, _VALUE_LABELS):
                facts["labels"] = _labels(model, file.get("name", ""))
    return facts


def _input(network: Network, spec: TensorSpec) -> Mapping[str, Any]:
    tensor: dict[str, Any] = {"name": spec.name, "content": _features()}
    found = picture_input(network)
    if found is None:
        return tensor
    how = found.preprocessing
    size = {"width": found.width, "height": found.height}
    image = {"color_space": _COLOR_SPACES.get(how.color, 0), "default_size": size}
    tensor["content"] = {"content_properties": ("ImageProperties", image)}
    if network.preprocessing:
        # The schema's formula is (pixel - mean) / std.
        affine = view(how)["affine"]
        units = {"mean": [-b / a for a, b in affine], "std": [1 / a for a, _ in affine]}
        tensor["process_units"] = [{"options": ("NormalizationOptions", units)}]
        low, high = how.tensor_range
        tensor["stats"] = {"max": [high], "min": [low]}
    return tensor


def _output(network: Network, spec: TensorSpec) -> Mapping[str, Any]:
    tensor: dict[str, Any] = {"name": spec.name, "content": _features()}
    if network.labels and network.is_classifier:
        kind = _VALUE_LABELS if spec.shape[-1] == 1 else _AXIS_LABELS
        file = {"name": _LABELS, "description": "A label per line.", "type": kind}
        tensor["associated_files"] = [file]
    return tensor


def _features() -> Mapping[str, Any]:
    return {"content_properties": ("FeatureProperties", {})}


def _picture(tensor: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    kind, image = tensor.get("content", {}).get("content_properties", ("", {}))
    names = {number: name for name, number in _COLOR_SPACES.items()}
    if kind == "ImageProperties" and image.get("color_space") in names:
        facts["color"] = names[image["color_space"]]
    for unit in tensor.get("process_units", []):
        options = unit.get("options")
        if options and options[0] == "NormalizationOptions":
            mean, std = options[1].get("mean", []), options[1].get("std", [])
            if std and len(mean) == len(std) and 0 not in std:
                facts["affine"] = [[1 / s, -m / s] for m, s in zip(mean, std, strict=True)]
    return facts


def _labels(model: bytes, name: str) -> list[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            if archive.getinfo(name).file_size > _LARGEST:
                raise SourceError(f"Its labels file {name!r} has more than {_LARGEST:,} bytes.")
            return archive.read(name).decode("utf-8", "replace").splitlines()
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        raise SourceError(
            f"Its metadata name the labels file {name!r}, which is not in it.",
            "Build the file again.",
        ) from error
