"""Reads the weight file of an ML Program (`weights/weight.bin`, MIL blob storage version 2).

The file is a 64-byte header, then for each tensor a 64-byte record (sentinel, element type, size in
bytes, offset of the data) and the data, everything aligned to 64 bytes and little-endian. coremltools
reads it with a native library that its Windows installation lacks; the format is simple enough to be
read with numpy, without a copy, on every system.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from mlc.errors import SourceError

__all__ = ["BITS", "NUMPY", "BlobFile", "unpack"]

Array = np.ndarray[Any, np.dtype[Any]]

_SENTINEL = 0xDEADBEEF
_RECORD = struct.Struct("<IIQQQ")

# Element type in the record -> MIL type.
_ELEMENT = {
    1: "float16",
    2: "float32",
    3: "uint8",
    4: "int8",
    6: "int16",
    7: "uint16",
    8: "int4",
    9: "uint1",
    10: "uint2",
    11: "uint4",
    12: "uint3",
    13: "uint6",
    14: "int32",
    15: "uint32",
}

# MIL types narrower than a byte -> their width; numpy holds them as int8 or uint8.
BITS = {"int4": 4, "uint1": 1, "uint2": 2, "uint3": 3, "uint4": 4, "uint6": 6}

# MIL type -> the numpy type that holds its values.
NUMPY: dict[str, np.dtype[Any]] = {
    **{
        f"{kind}{bits}": np.dtype(f"{kind}{bits}")
        for kind, widths in {
            "float": (16, 32, 64),
            "int": (8, 16, 32, 64),
            "uint": (8, 16, 32, 64),
        }.items()
        for bits in widths
    },
    "bool": np.dtype("bool"),
    **{name: np.dtype("int8" if name == "int4" else "uint8") for name in BITS},
}


def unpack(packed: Array, mil_type: str, count: int) -> Array:
    """`count` elements out of a stream of bits, least significant bit first, rows never padded."""
    width = BITS.get(mil_type, 8)
    packed = packed.view(np.uint8)
    if packed.size < (count * width + 7) // 8:
        raise SourceError(
            f"The package's weights are cut short: {count} {mil_type} elements were expected."
        )
    if width == 8:
        return packed[:count]
    if width == 4:
        both = np.empty((packed.size, 2), np.uint8)
        np.bitwise_and(packed, 15, out=both[:, 0])
        np.right_shift(packed, 4, out=both[:, 1])
        values = both.reshape(-1)[:count]
    else:
        bits = np.unpackbits(packed, count=count * width, bitorder="little")
        if width == 1:
            return bits
        places = (1 << np.arange(width)).astype(np.uint8)
        values = (bits.reshape(count, width) * places).sum(axis=1, dtype=np.uint8)
    if mil_type == "int4":
        return ((values ^ 8).astype(np.int8) - 8).astype(np.int8)
    return values


class BlobFile:
    """One weight file, mapped into memory and read on demand."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SourceError(
                f"The package lacks its weight file {path.name}.",
                "Copy the whole .mlpackage folder, not only the model inside it.",
            )
        self._path = path
        self._bytes = np.memmap(path, np.uint8, "r")
        header = self._bytes[:8].tobytes()
        version = struct.unpack("<II", header)[1] if len(header) == 8 else 0
        if version != 2:
            raise SourceError(f"{path.name} is not a MIL weight file of version 2.")

    def read(self, offset: int, mil_type: str, shape: tuple[int, ...]) -> Array:
        """The tensor whose record lies at `offset`; it must be of the type that the program says."""
        record = self._bytes[offset : offset + _RECORD.size].tobytes()
        if len(record) < _RECORD.size:
            raise SourceError(f"{self._path.name} ends before offset {offset}: it is cut short.")
        sentinel, element, size, start, _ = _RECORD.unpack(record)
        if sentinel != _SENTINEL or _ELEMENT.get(element) != mil_type:
            raise SourceError(
                f"{self._path.name} holds no {mil_type} tensor at offset {offset}.",
                "Model and weights of the package are not of the same conversion.",
            )
        data = self._bytes[start : start + size]
        count = int(np.prod(shape, dtype=np.int64))
        if mil_type in BITS:
            return unpack(data, mil_type, count).reshape(shape)
        expected = count * NUMPY[mil_type].itemsize
        if data.size != expected:
            raise SourceError(
                f"{self._path.name} holds {data.size} bytes at offset {offset}, "
                f"the program expects {expected}."
            )
        return np.asarray(data).view(NUMPY[mil_type]).reshape(shape)
