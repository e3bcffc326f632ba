"""A model file is untrusted input: find what would run code, before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mlc.convert.source import Source
from mlc.errors import UntrustedError

__all__ = ["check_config", "check_graph"]

# Layers whose config carries Python bytecode or names Python code to import.
_CODE_LAYERS = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
_OWN_MODULES = {"keras", "tf_keras", "builtins"}

# TensorFlow ops that run Python, or read or write files that the graph names.
_CODE_OPS = {
    "PyFunc",
    "PyFuncStateless",
    "EagerPyFunc",
    "ReadFile",
    "WriteFile",
    "MatchingFiles",
    "WholeFileReader",
    "WholeFileReaderV2",
    "TextLineReader",
    "TextLineReaderV2",
    "TFRecordReader",
    "TFRecordReaderV2",
    "FixedLengthRecordReader",
    "FixedLengthRecordReaderV2",
    "LMDBReader",
    "LMDBDataset",
    "TextLineDataset",
    "TFRecordDataset",
    "FixedLengthRecordDataset",
    "FixedLengthRecordDatasetV2",
    "SqlDataset",
    "SaveDataset",
    "SaveDatasetV2",
    "LoadDataset",
    "PrintV2",
    "DebugIdentity",
    "DebugIdentityV2",
    "DebugIdentityV3",
    "DumpTensor",
    "WriteSummary",
    "CreateSummaryFileWriter",
    "ImportEvent",
    "LookupTableExportV2",
    "InitializeTableFromTextFile",
    "InitializeTableFromTextFileV2",
    "DecodeProtoV2",
    "EncodeProto",
    "RpcCall",
    "RemoteCall",
}


def check_config(source: Source, custom_objects: bool = False) -> None:
    """Refuse a Keras config that carries or names code; raises `UntrustedError` naming the object.

    With `custom_objects` the user has named the module that defines foreign classes: these pass, code
    stored inside the file does not.
    """
    for finding in _findings(source.config):
        if finding.inside:
            raise UntrustedError(
                f"{source.path.name} holds code: {finding.what} at {finding.where!r}.",
                "If you trust where the file comes from, allow it with --trust.",
            )
        if not custom_objects:
            raise UntrustedError(
                f"{source.path.name} needs {finding.what} at {finding.where!r}, "
                "which is not part of Keras.",
                "Name the Python module that defines it with --custom-objects MODULE.",
            )


def check_graph(file: str, nodes: Iterator[Any]) -> None:
    """Refuse graph ops that leave the graph; raises `UntrustedError` naming the op."""
    for node in nodes:
        if node.op in _CODE_OPS:
            raise UntrustedError(
                f"{file} runs {node.op} (at {node.name}), which leaves the graph for files or Python.",
                "If you trust where the model comes from, allow it with --trust.",
            )


@dataclass(frozen=True)
class _Finding:
    where: str  # name of the layer
    what: str
    inside: bool  # the code is in the file itself, not in a module that the file names


def _findings(node: Any, where: str = "model") -> Iterator[_Finding]:
    """Everything in a Keras config that would run foreign code."""
    if isinstance(node, list):
        for item in node:
            yield from _findings(item, where)
    elif isinstance(node, dict):
        config = node.get("config")
        if isinstance(config, dict) and isinstance(config.get("name"), str):
            where = config["name"]
        kind, module = node.get("class_name"), node.get("module")
        registered = node.get("registered_name")
        if kind == "__lambda__":
            yield _Finding(where, "a Python lambda", inside=True)
        elif kind in _CODE_LAYERS:
            yield _Finding(where, f"a {kind} layer", inside=True)
        elif isinstance(registered, str) and ">" in registered:
            if registered.split(">")[0].lower() != "keras":
                yield _Finding(where, f"the custom object {registered}", inside=False)
        elif isinstance(module, str) and module.split(".")[0] not in _OWN_MODULES:
            yield _Finding(where, f"the custom object {module}.{kind}", inside=False)
        for key, value in node.items():
            if value == "<lambda>":
                yield _Finding(where, f"a Python lambda as {key}", inside=True)
            yield from _findings(value, where)
