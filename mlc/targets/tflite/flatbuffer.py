"""Reading and writing the TFLite flatbuffer through its schema's object API."""

from __future__ import annotations

import copy
import struct
from collections import Counter
from functools import cache
from typing import Any

import numpy as np

from mlc.errors import SourceError

__all__ = [
    "IDENTIFIER",
    "add_constant",
    "add_tensor",
    "array",
    "constant",
    "histogram",
    "is_float32",
    "op_names",
    "operator",
    "parse",
    "quantization",
    "serialize",
    "text",
    "type_name",
    "type_number",
    "values",
]

Array = np.ndarray[Any, np.dtype[Any]]

IDENTIFIER = b"TFL3"  # at byte 4 of every file

# XNNPACK and the DSPs read weights in place; the schema asks for this by `force_align`, which the
# Python code generated from it ignores.
_ALIGNMENT = 16


def parse(data: bytes) -> Any:
    """The file as a `ModelT` object; raises `SourceError` where the bytes are no such file."""
    from ai_edge_litert import schema_py_generated as schema

    if data[4:8] != IDENTIFIER:
        raise SourceError("This is not a TFLite file: its identifier TFL3 is missing.")
    try:
        model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    except (struct.error, ValueError, TypeError, IndexError, OverflowError) as error:
        # What the generated code raises when an offset points outside of the file.
        raise SourceError(
            f"The TFLite file is damaged or cut short ({len(data):,} bytes).",
            "Download or build it again.",
        ) from error
    _bring_in(model, data)
    return model


def _bring_in(model: Any, data: bytes) -> None:
    """Large files keep constants behind the flatbuffer; the object API knows of them only where."""
    for buffer in model.buffers or ():
        if buffer.offset > 1:  # 0 and 1 mean that there is none
            buffer.data = array(data[buffer.offset : buffer.offset + buffer.size])
            buffer.offset = buffer.size = 0


def serialize(model: Any) -> bytes:
    """The bytes of a `ModelT`, constants aligned as LiteRT wants them, equal vectors written once."""
    import flatbuffers

    class Aligned(flatbuffers.Builder):  # type: ignore[misc]
        def __init__(self, size: int) -> None:
            super().__init__(size)
            self._written: dict[tuple[str, bytes], Any] = {}

        def StartVector(self, size: int, count: int, alignment: int) -> Any:  # noqa: N802
            return super().StartVector(size, count, max(alignment, _aligned(size, count)))

        def CreateNumpyVector(self, x: Array) -> Any:  # noqa: N802
            # Every channel of every weight has a zero point of 8 bytes, and all of them are 0.
            content = x.dtype.str, x.tobytes()
            if content not in self._written:
                self._written[content] = super().CreateNumpyVector(x)
            return self._written[content]

    builder = Aligned(1 << 20)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def histogram(model: Any) -> Counter[str]:
    """How often each operation occurs, over all subgraphs."""
    names = op_names(model)
    return Counter(
        names[op.opcodeIndex] for graph in model.subgraphs for op in graph.operators or ()
    )


def op_names(model: Any) -> list[str]:
    """The name of each operator code: the builtin's, or `custom:NAME`."""
    builtin = _members("BuiltinOperator")
    names = []
    for code in model.operatorCodes or ():
        # Codes above 127 are only in the newer field; old files fill only the older one.
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        name = builtin.get(number, f"BUILTIN_{number}")
        if name == "CUSTOM":
            name = f"custom:{text(code.customCode)}"
        names.append(name)
    return names


def type_name(number: int) -> str:
    """What numpy calls a tensor type (`float32`, `int8`, ...), or TFLite's where numpy has none."""
    return _members("TensorType")[number].lower()


def type_number(name: str) -> int:
    """TFLite's number of a tensor type, by the name that `type_name` gives it."""
    return {n.lower(): number for number, n in _members("TensorType").items()}[name]


def is_float32(tensor: Any) -> bool:
    """Whether the tensor holds float32."""
    return type_name(tensor.type) == "float32"


def values(model: Any, tensor: Any) -> Array:
    """The array of a constant whose type numpy has."""
    data = bytes(model.buffers[tensor.buffer].data)
    shape = tensor.shape if tensor.shape is not None else ()
    return np.frombuffer(data, type_name(tensor.type)).reshape([int(d) for d in shape])


def quantization(scale: Array, zero_point: int = 0, axis: int = 0) -> Any:
    """`real = scale · (integer − zero_point)`, with one scale or one for each index of `axis`."""
    from ai_edge_litert import schema_py_generated as schema

    parameters = schema.QuantizationParametersT()
    parameters.scale = np.atleast_1d(np.asarray(scale, np.float32))
    parameters.zeroPoint = np.full(parameters.scale.shape, zero_point, np.int64)
    parameters.quantizedDimension = axis
    return parameters


def add_tensor(graph: Any, like: Any, kind: str, suffix: str) -> int:
    """A tensor of the shape of another and of that type, not a constant; returns its index."""
    tensor = copy.copy(like)
    tensor.name = f"{text(like.name)}{suffix}"
    tensor.type, tensor.buffer, tensor.quantization = type_number(kind), 0, None
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def add_constant(model: Any, tensor: Any, data: bytes) -> None:
    """Make a tensor a constant of these bytes."""
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    buffer.data = array(data)
    model.buffers.append(buffer)
    tensor.buffer = len(model.buffers) - 1


def operator(model: Any, name: str, version: int, source: int, result: int) -> Any:
    """A builtin operation without options from one tensor to another; still to be put into a graph."""
    from ai_edge_litert import schema_py_generated as schema

    op = schema.OperatorT()
    op.opcodeIndex = _operator_code(model, name, version)
    op.inputs, op.outputs = [source], [result]
    return op


def _operator_code(model: Any, name: str, version: int) -> int:
    from ai_edge_litert import schema_py_generated as schema

    for i, known in enumerate(op_names(model)):
        if known == name and model.operatorCodes[i].version >= version:
            return i
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def constant(model: Any, tensor: Any) -> bool:
    """Whether the tensor's values are in the file."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def text(value: Any) -> str:
    """A string of the flatbuffer, which its object API gives as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def array(data: bytes) -> Array:
    """Bytes as the object API wants a buffer's data."""
    return np.frombuffer(data, np.uint8)


def _aligned(size: int, count: int) -> int:
    return _ALIGNMENT if size == 1 and count >= _ALIGNMENT else 1


@cache
def _members(enumeration: str) -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    members = vars(getattr(schema, enumeration))
    return {number: name for name, number in members.items() if isinstance(number, int)}
