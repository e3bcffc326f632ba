"""Reading and writing the TFLite flatbuffer through its schema's object API."""

from __future__ import annotations

import struct
from collections import Counter
from functools import cache
from typing import Any

import numpy as np

from mlc.errors import SourceError

__all__ = ["IDENTIFIER", "constant", "histogram", "op_names", "parse", "serialize", "type_name"]

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
        return schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    except (struct.error, ValueError, TypeError, IndexError, OverflowError) as error:
        # What the generated code raises when an offset points outside of the file.
        raise SourceError(
            f"The TFLite file is damaged or cut short ({len(data):,} bytes).",
            "Download or build it again.",
        ) from error


def serialize(model: Any) -> bytes:
    """The bytes of a `ModelT`, constants aligned as LiteRT wants them."""
    import flatbuffers

    class Aligned(flatbuffers.Builder):  # type: ignore[misc]
        def StartVector(self, size: int, count: int, alignment: int) -> Any:  # noqa: N802
            return super().StartVector(size, count, max(alignment, _aligned(size, count)))

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


def constant(model: Any, tensor: Any) -> bool:
    """Whether the tensor's values are in the file."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def text(value: Any) -> str:
    """A string of the flatbuffer, which its object API gives as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def array(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Bytes as the object API wants a buffer's data."""
    return np.frombuffer(data, np.uint8)


def _aligned(size: int, count: int) -> int:
    return _ALIGNMENT if size == 1 and count >= _ALIGNMENT else 1


@cache
def _members(enumeration: str) -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    members = vars(getattr(schema, enumeration))
    return {number: name for name, number in members.items() if isinstance(number, int)}
