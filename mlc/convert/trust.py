"""A model file is untrusted input: find what would run code, before anything is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mlc.convert.source import Source
from mlc.errors import UntrustedError

__all__ = ["check_config", "check_graph", "check_saved_model"]

# Layers whose config carries Python bytecode or names Python code to import.
_CODE_LAYERS = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
_OWN_MODULES = {"keras", "tf_keras", "builtins"}

# Functions of TensorFlow that a TFOpLambda layer may name: those that only compute. Others delete
# folders (io.gfile.rmtree), load native code (load_library), or fetch files (keras.utils.get_file), and
# Keras 2 calls them while it loads the model.
_COMPUTING = {
    "math", "nn", "linalg", "image", "signal", "strings", "bitwise", "dtypes", "quantization", "random",
    "ragged", "sparse", "sets", "audio", "__operators__",
}  # fmt: skip
_COMPUTING_PAIRS = {("experimental", "numpy"), ("keras", "activations"), ("keras", "backend")}
_NOT_COMPUTING = re.compile(
    r"file|load|save|py_func|numpy_function|(?<!finger)print|rpc|graph|tpu_|mesh(?!grid)|custom_call|preemption",
    re.I,
)

# TensorFlow ops that run Python, read or write files that the graph names, or speak to the network.
_CODE_OPS = re.compile(
    r"(Eager)?PyFunc(Stateless)?"
    r"|(Read|Write|Matching)File\w*|\w*Reader(V\d)?|Reader(Read|Restore)\w*"
    r"|\w*(TextLine|Record|Sql|CSV|LMDB|Files|Save|Load|Snapshot|Cache|Service)\w*Dataset\w*"
    r"|\w*DatasetToTFRecord|Snapshot\w*|DistributedSave|CalibrationStatisticsSaver"
    r"|Initialize\w*TextFile\w*|LookupTableExport\w*|GenerateVocabRemapping|LoadAndRemapMatrix"
    r"|Write\w*Summary|CreateSummary\w*|ImportEvent|Print\w*|DumpTensor|Debug(Identity|N)\w*"
    r"|Rpc\w*|RemoteCall|EncodeProto|DecodeProto\w*|FileSystemSetConfiguration"
)

# What saves and restores the variables of a SavedModel; it has no place in a model's own computation.
_CHECKPOINT_OPS = re.compile(r"Save(V2|Slices)?|MergeV2Checkpoints|Restore(V2|Slice)?")
_SAVER = re.compile(r"__inference__traced_(save|restore)_\d+")


def check_config(source: Source, custom_objects: bool = False) -> None:
    """Refuse a Keras config that carries or names code; raises `UntrustedError` naming the object.

    With `custom_objects` the user has named the module that defines foreign classes: these pass, code
    stored inside the file does not.
    """
    # Losses and metrics are never loaded.
    used = {key: value for key, value in source.config.items() if key != "compile_config"}
    for finding in _findings(used):
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


def check_graph(file: str, nodes: Iterable[Any]) -> None:
    """Refuse graph ops that leave the graph; raises `UntrustedError` naming the op."""
    for node in nodes:
        if _CODE_OPS.fullmatch(node.op) or _CHECKPOINT_OPS.fullmatch(node.op):
            _refuse(file, node)


def check_saved_model(file: str, graph_def: Any) -> None:
    """The same for a stored SavedModel, whose functions for saving and restoring variables are passed.

    They must be called by nobody else: loading runs initializers, which could call them.
    """
    check_graph(file, (n for n in graph_def.node if not _CHECKPOINT_OPS.fullmatch(n.op)))
    for function in graph_def.library.function:
        if _SAVER.fullmatch(function.signature.name):
            nodes = [n for n in function.node_def if not _CHECKPOINT_OPS.fullmatch(n.op)]
        else:
            nodes = list(function.node_def)
            for node in nodes:
                if any(_SAVER.fullmatch(value.func.name) for value in node.attr.values()):
                    _refuse(file, node)
        check_graph(file, nodes)


def _refuse(file: str, node: Any) -> None:
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
        kind, module = str(node.get("class_name")), node.get("module")
        registered = node.get("registered_name")
        if kind == "__lambda__":
            yield _Finding(where, "a Python lambda", inside=True)
        elif kind in _CODE_LAYERS:
            yield _Finding(where, f"a {kind} layer", inside=True)
        elif isinstance(config, dict) and (what := _called(kind, config)):
            yield _Finding(where, what, inside=True)
        elif isinstance(registered, str) and ">" in registered:
            if registered.split(">")[0].lower() != "keras":
                yield _Finding(where, f"the custom object {registered}", inside=False)
        elif isinstance(module, str) and module.split(".")[0] not in _OWN_MODULES:
            yield _Finding(where, f"the custom object {module}.{kind}", inside=False)
        for key, value in node.items():
            if value == "<lambda>":
                yield _Finding(where, f"a Python lambda as {key}", inside=True)
            yield from _findings(value, where)


def _called(kind: Any, config: dict[str, Any]) -> str | None:
    """What a layer of Keras 2 calls that does more than compute; None for every other layer."""
    if kind in ("TFOpLambda", "SlicingOpLambda"):
        name = config.get("function")
        return None if isinstance(name, str) and _computes(name) else f"a call of {name}"
    if kind == "ClassMethod":
        name = str(config.get("cls_symbol"))
        return None if name in ("RaggedTensor", "SparseTensor") else f"a call of {name}"
    if kind == "TensorFlowOpLayer":
        ops = re.findall(r"\bop\"?:\s*\"(\w+)\"", str(config.get("node_def")).replace("'", '"'))
        bad = [op for op in ops if _CODE_OPS.fullmatch(op) or _CHECKPOINT_OPS.fullmatch(op)]
        return f"the op {bad[0]}" if bad else None if ops else "an op without a name"
    return None


def _computes(name: str) -> bool:
    room, *rest = name.removeprefix("compat.v1.").split(".")
    if not rest:
        return bool(room) and not _NOT_COMPUTING.search(room)
    return room in _COMPUTING or (room, rest[0]) in _COMPUTING_PAIRS
