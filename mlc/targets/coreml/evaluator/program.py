"""Loads an ML Program from the `.mlpackage` on disk into a small typed graph.

coremltools' own loader is not used, for two reasons. Importing it imports TensorFlow and
scikit-learn (ten seconds, against a third of a second for everything here), and its reader of weight
files is a native library that only its Linux and macOS wheels have. So the protobuf messages are
taken from coremltools' generated modules without importing the package around them, and the types
are those that the file declares: nothing is inferred, and nothing can be repaired on the way.
The tests hold this reader against coremltools' loader.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mlc.errors import MachineError, SourceError, UnverifiableError
from mlc.targets.coreml.evaluator.blob import BITS, NUMPY, BlobFile, unpack
from mlc.targets.coreml.evaluator.constexpr import DECODERS

__all__ = ["Block", "Op", "Program", "Type", "Value", "load"]

Array = np.ndarray[Any, np.dtype[Any]]

# MIL's data types by their number in the protobuf.
_DTYPES = {
    1: "bool",
    2: "string",
    10: "float16",
    11: "float32",
    12: "float64",
    13: "bfloat16",
    21: "int8",
    22: "int16",
    23: "int32",
    24: "int64",
    25: "int4",
    31: "uint8",
    32: "uint16",
    33: "uint32",
    34: "uint64",
    35: "uint4",
    36: "uint2",
    37: "uint1",
    38: "uint6",
    39: "uint3",
    40: "float8e4m3fn",
    41: "float8e5m2",
}


@dataclass(frozen=True)
class Type:
    """The declared type of a value: `tensor`, or a `list`, `dict` or `state` that holds tensors.

    A dimension that is not known before running is None. Of a list, `shape` is that of an element.
    With `any_rank` not even the number of dimensions is known, and `shape` says nothing.
    """

    dtype: str
    shape: tuple[int | None, ...] = ()
    container: str = "tensor"
    any_rank: bool = False

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        if self.any_rank:
            raise UnverifiableError("The program computes with a tensor of unknown rank.")
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether elements are real numbers."""
        return self.dtype.startswith("float")

    def __str__(self) -> str:
        dims = ", ".join("?" if d is None else str(d) for d in self.shape)
        return f"{self.container}<{self.dtype}, [{dims}]>"


class Value:
    """A result of an op, an input, or a constant. Two values are the same only if identical."""

    def __init__(
        self,
        name: str,
        type_: Type,
        constant: Callable[[], Any] | None = None,
        op: Op | None = None,
    ) -> None:
        self.name = name
        self.type = type_
        self.op = op  # the op that computes it; None for inputs
        self._constant = constant

    @property
    def is_constant(self) -> bool:
        """Whether the value is known without running the program."""
        return self._constant is not None

    @cached_property
    def constant(self) -> Any:
        """The array (strings: a `str` or a list of them), read and decoded on first use."""
        if self._constant is None:
            raise UnverifiableError(
                f"{self.name} is computed while running, where mlc's evaluator needs a constant."
            )
        return self._constant()

    def __repr__(self) -> str:
        return f"%{self.name}: {self.type}"


@dataclass(eq=False)
class Op:
    """One operation. A parameter holds one value, or several where MIL takes a tuple."""

    kind: str
    name: str
    parameters: dict[str, tuple[Value, ...]]
    outputs: tuple[Value, ...] = ()
    blocks: tuple[Block, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"


@dataclass(eq=False)
class Block:
    """A sequence of ops. Of a nested block, `inputs` are its arguments."""

    inputs: tuple[Value, ...]
    ops: tuple[Op, ...]
    outputs: tuple[Value, ...]

    def walk(self) -> Iterator[Op]:
        """Every op, those of nested blocks included."""
        for op in self.ops:
            yield op
            for block in op.blocks:
                yield from block.walk()


@dataclass(eq=False)
class Program:
    """The default function of a package, and what the package says about its inputs and outputs.

    `ios` is the operator set: 15 to 18, or 26. `description` is the protobuf `ModelDescription`.
    """

    path: Path
    block: Block
    ios: int
    description: Any = field(repr=False)


def load(path: Path) -> Program:
    """Read a `.mlpackage`.

    Raises `SourceError` if it is none or is damaged, `UnverifiableError` if it holds something other
    than an ML Program, or a program with states or several functions that have no default.
    """
    model_file = _model_file(path)
    from google.protobuf.message import DecodeError

    model = _messages().Model()
    try:
        model.ParseFromString(model_file.read_bytes())
    except DecodeError as error:
        raise SourceError(f"{path} holds a damaged model file.") from error
    kind = model.WhichOneof("Type")
    if kind != "mlProgram":
        raise UnverifiableError(
            f"{path.name} is a Core ML {kind}, not an ML Program.",
            "Convert the network again with a minimum deployment target of iOS 15 or newer.",
        )
    name = model.description.defaultFunctionName or "main"
    functions = model.mlProgram.functions
    if name not in functions:
        raise UnverifiableError(f"{path.name} has no function {name!r}.")
    function = functions[name]
    if function.opset not in function.block_specializations:
        raise SourceError(f"{path.name} has no program for its own operator set {function.opset}.")
    reader = _Reader(model_file.parent)
    description = model.description
    for candidate in description.functions:
        if candidate.name == name:
            description = candidate
    return Program(
        path=path,
        block=reader.function(function, function.block_specializations[function.opset]),
        ios=_ios(function.opset),
        description=description,
    )


def _ios(opset: str) -> int:
    """`CoreML5` is the operator set of iOS 15, and so on; `CoreML9` came with iOS 26."""
    known = {"CoreML5": 15, "CoreML6": 16, "CoreML7": 17, "CoreML8": 18, "CoreML9": 26}
    if opset not in known:
        raise UnverifiableError(f"The operator set {opset} is newer than mlc's evaluator.")
    return known[opset]


def _model_file(path: Path) -> Path:
    """The `.mlmodel` inside a package, found by its manifest."""
    manifest = path / "Manifest.json"
    if not manifest.is_file():
        raise SourceError(
            f"{path} is not a Core ML package: it has no Manifest.json.",
            "Give the .mlpackage folder.",
        )
    try:
        entries = json.loads(manifest.read_text(encoding="utf-8"))
        inside = PurePosixPath(entries["itemInfoEntries"][entries["rootModelIdentifier"]]["path"])
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{manifest} does not name the model of the package.") from error
    found = path / "Data" / inside
    if inside.is_absolute() or ".." in inside.parts or not found.is_file():
        raise SourceError(f"{path} lacks the model {inside} that its manifest names.")
    return found


def _messages() -> Any:
    """The generated protobuf module `Model_pb2` of coremltools.

    Where coremltools is not loaded yet it is not loaded now either: its `proto` folder is imported
    under another name. Both names give the same message classes, because protobuf keeps one class
    per message type, so a later `import coremltools` is not disturbed.
    """
    if "coremltools" in sys.modules:
        return importlib.import_module("coremltools.proto.Model_pb2")
    alias = "_mlc_coreml_messages"
    if alias not in sys.modules:
        package = importlib.util.find_spec("coremltools")
        if package is None or not package.submodule_search_locations:
            raise MachineError("coremltools is not installed.", "Run: pip install coremltools")
        folder = Path(package.submodule_search_locations[0]) / "proto"
        spec = importlib.util.spec_from_file_location(
            alias, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        if spec is None or spec.loader is None:
            raise MachineError(f"coremltools' protobuf modules are missing in {folder}.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[alias] = module
        spec.loader.exec_module(module)
    return importlib.import_module(f"{alias}.Model_pb2")


class _Reader:
    """Turns protobuf messages into the graph. `folder` is what `@model_path` stands for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, BlobFile] = {}

    def function(self, function: Any, block: Any) -> Block:
        inputs = {i.name: Value(i.name, _type(i.type)) for i in function.inputs}
        return self._block(block, inputs, tuple(inputs.values()))

    def _block(self, block: Any, scope: Mapping[str, Value], inputs: tuple[Value, ...]) -> Block:
        names = dict(scope)
        ops: list[Op] = []
        for spec in block.operations:
            op = self._op(spec, names)
            names.update((value.name, value) for value in op.outputs)
            if op.kind != "const":
                ops.append(op)
        return Block(inputs, tuple(ops), tuple(_lookup(names, name) for name in block.outputs))

    def _op(self, spec: Any, names: Mapping[str, Value]) -> Op:
        attributes = dict(spec.attributes)
        label = attributes.pop("name", None)
        fallback = spec.outputs[0].name if spec.outputs else spec.type
        op = Op(spec.type, str(self._read(label)) if label is not None else fallback, {})
        if spec.type == "const":
            value = attributes["val"]
            op.outputs = (Value(spec.outputs[0].name, _type(value.type), self._lazy(value), op),)
            return op
        for name, value in attributes.items():  # iOS 16 stores the parameters of constexprs here
            op.parameters[name] = (
                Value(f"{op.name}.{name}", _type(value.type), self._lazy(value)),
            )
        for name, argument in spec.inputs.items():
            op.parameters[name] = tuple(
                _lookup(names, binding.name)
                if binding.WhichOneof("binding") == "name"
                else Value(
                    f"{op.name}.{name}", _type(binding.value.type), self._lazy(binding.value)
                )
                for binding in argument.arguments
            )
        op.outputs = tuple(
            Value(o.name, _type(o.type), self._decoding(op, index), op)
            for index, o in enumerate(spec.outputs)
        )
        op.blocks = tuple(self._nested(block, names) for block in spec.blocks)
        return op

    def _nested(self, block: Any, names: Mapping[str, Value]) -> Block:
        inputs = tuple(Value(i.name, _type(i.type)) for i in block.inputs)
        return self._block(block, {**names, **{v.name: v for v in inputs}}, inputs)

    def _decoding(self, op: Op, index: int) -> Callable[[], Any] | None:
        """How to get a result of a compressed weight; None for an op that is computed."""
        if not op.kind.startswith("constexpr_"):
            return None
        return lambda: _decode(op)[index]

    def _lazy(self, spec: Any) -> Callable[[], Any]:
        return lambda: self._read(spec)

    def _read(self, spec: Any) -> Any:
        """The array, string or list of strings that a protobuf `Value` holds."""
        if spec.WhichOneof("value") == "blobFileValue":
            type_ = _type(spec.type)
            blob = spec.blobFileValue
            return self._file(blob.fileName).read(blob.offset, type_.dtype, _static(type_))
        immediate = spec.immediateValue
        kind = immediate.WhichOneof("value")
        if kind == "list":
            return [self._read(item) for item in immediate.list.values]
        if kind != "tensor":
            raise UnverifiableError(f"The package holds a constant {kind}, which mlc cannot read.")
        return _immediate(immediate.tensor, _type(spec.type))

    def _file(self, name: str) -> BlobFile:
        if name not in self._files:
            inside = PurePosixPath(name)
            if inside.parts[:1] != ("@model_path",) or ".." in inside.parts:
                raise SourceError(f"The package wants to read {name}, outside of itself.")
            self._files[name] = BlobFile(self._folder.joinpath(*inside.parts[1:]))
        return self._files[name]


def _lookup(names: Mapping[str, Value], name: str) -> Value:
    if name not in names:
        raise SourceError(f"The program uses {name!r} before anything computes it.")
    return names[name]


def _decode(op: Op) -> tuple[Array, ...]:
    """The results of a compressed weight, computed once."""
    found: tuple[Array, ...] | None = op.__dict__.get("decoded")
    if found is not None:
        return found
    decoder = DECODERS.get(op.kind)
    if decoder is None:
        raise UnverifiableError(f"{op}: op {op.kind} is not implemented by mlc's evaluator.")
    for parameter in op.parameters:
        if parameter not in decoder.required + decoder.optional:
            raise UnverifiableError(
                f"{op}: op {op.kind}, parameter {parameter} is not implemented by mlc's evaluator."
            )
    missing = [p for p in decoder.required if p not in op.parameters]
    if missing:
        raise SourceError(f"{op} lacks its parameter {missing[0]}.")
    arrays = decoder.decode({p: values[0].constant for p, values in op.parameters.items()})
    for array, output in zip(arrays, op.outputs, strict=True):
        if array.shape != _static(output.type):
            raise SourceError(
                f"{op} decodes to shape {list(array.shape)}, but declares {output.type}."
            )
    op.__dict__["decoded"] = arrays
    return arrays


def _static(type_: Type) -> tuple[int, ...]:
    if None in type_.shape:
        raise SourceError(f"A constant is declared with an open shape: {type_}.")
    return tuple(int(d) for d in type_.shape if d is not None)


def _type(spec: Any) -> Type:
    kind = spec.WhichOneof("type")
    if kind == "tensorType":
        tensor = spec.tensorType
        if tensor.rank != len(tensor.dimensions):
            raise UnverifiableError("The program holds a tensor of unknown rank.")
        shape = tuple(
            d.constant.size if d.WhichOneof("dimension") == "constant" else None
            for d in tensor.dimensions
        )
        variadic = any(
            d.WhichOneof("dimension") == "unknown" and d.unknown.variadic for d in tensor.dimensions
        )
        dtype = _DTYPES.get(tensor.dataType, f"type {tensor.dataType}")
        return Type(dtype, shape, any_rank=variadic)
    if kind == "listType":
        element = _type(spec.listType.type)
        return Type(element.dtype, element.shape, "list")
    if kind == "stateType":
        wrapped = _type(spec.stateType.wrappedType)
        return Type(wrapped.dtype, wrapped.shape, "state")
    if kind == "dictionaryType":
        return Type(_type(spec.dictionaryType.valueType).dtype, (), "dict")
    raise UnverifiableError(f"The program holds a value of type {kind}, which mlc cannot read.")


def _immediate(tensor: Any, type_: Type) -> Any:
    """A constant stored inside the program itself."""
    stored = tensor.WhichOneof("value")
    values = getattr(tensor, stored).values if stored else ()
    if type_.dtype == "string":
        strings = [str(v) for v in values]
        return strings[0] if type_.shape == () and strings else strings
    if type_.dtype not in NUMPY:
        raise UnverifiableError(f"The program holds a {type_.dtype} constant; mlc cannot read it.")
    shape = _static(type_)
    count = int(np.prod(shape, dtype=np.int64))
    if type_.dtype in BITS:
        return unpack(np.frombuffer(bytes(values), np.uint8), type_.dtype, count).reshape(shape)
    if stored == "bytes":
        array = np.frombuffer(bytes(values), NUMPY[type_.dtype])
    else:
        array = np.array(values, NUMPY[type_.dtype])
    if array.size != count:
        raise SourceError(f"A constant declared {type_} holds {array.size} elements.")
    return array.reshape(shape)
