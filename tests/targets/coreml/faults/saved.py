"""A saved package in memory, to plant faults in: its protobuf message, the bytes of its weight file."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["NotHereError", "Saved"]

Array = np.ndarray[Any, np.dtype[Any]]
Op = Any  # protobuf message MILSpec.Operation

_MODEL = Path("Data/com.apple.CoreML/model.mlmodel")
_WEIGHTS = Path("Data/com.apple.CoreML/weights/weight.bin")
_RECORD = struct.Struct("<IIQQ")  # sentinel, element type, bytes, offset of the data
# MIL's data types by their number; types narrower than a byte are packed.
_STORED = {1: "?", 10: "<f2", 11: "<f4", 21: "i1", 23: "<i4", 31: "u1", 35: "u1", 36: "u1",
           37: "u1", 38: "u1", 39: "u1", 25: "u1"}  # fmt: skip
_FIELD = {"b": "bools", "f": "floats", "i": "ints"}


class NotHereError(LookupError):
    """A network has nothing that the fault could be planted in."""


class Saved:
    """Reads a package; `write` makes another one of what was changed in the meantime."""

    def __init__(self, path: Path) -> None:
        from coremltools.proto import Model_pb2

        self._path = path
        self.model = Model_pb2.Model()
        self.model.ParseFromString((path / _MODEL).read_bytes())
        file = path / _WEIGHTS
        self._bytes = bytearray(file.read_bytes() if file.exists() else b"")
        function = self.model.mlProgram.functions["main"]
        self.block = function.block_specializations[function.opset]
        self._makers = {o.name: op for op in self._all() for o in op.outputs}

    def write(self, to: Path) -> Path:
        shutil.copytree(self._path, to, ignore=shutil.ignore_patterns("weight.bin"))
        (to / _MODEL).write_bytes(self.model.SerializeToString())
        if self._bytes:
            (to / _WEIGHTS).parent.mkdir(exist_ok=True)
            (to / _WEIGHTS).write_bytes(self._bytes)
        return to

    def _all(self) -> Iterator[Op]:
        def visit(block: Any) -> Iterator[Op]:
            for op in block.operations:
                yield op
                for inner in op.blocks:
                    yield from visit(inner)

        return visit(self.block)

    # ---- finding

    def ops(self, *kinds: str, where: Callable[[Op], bool] = lambda op: True) -> list[Op]:
        """All ops of these kinds; raises `NotHereError` if there is none."""
        found = [op for op in self._all() if op.type in kinds and where(op)]
        if not found:
            raise NotHereError(f"no {' or '.join(kinds)} that fits")
        return found

    def middle(self, *kinds: str, where: Callable[[Op], bool] = lambda op: True) -> Op:
        """The op of these kinds in the middle of the network."""
        found = self.ops(*kinds, where=where)
        return found[len(found) // 2]

    def same(self, op: Op) -> Op:
        """The op of this package that corresponds to an op of another one."""
        return self._makers[op.outputs[0].name]

    def source(self, op: Op, parameter: str) -> str:
        """The name of the value that a parameter takes."""
        if parameter not in op.inputs:
            raise NotHereError(f"{op.type} without {parameter}")
        return str(op.inputs[parameter].arguments[0].name)

    def computed(self, op: Op, parameter: str) -> bool:
        """Whether a parameter is there, and no constant."""
        if parameter not in op.inputs:
            return False
        maker = self._makers.get(self.source(op, parameter))
        return maker is None or not (maker.type == "const" or maker.type.startswith("constexpr_"))

    def shape(self, name: str) -> tuple[int, ...]:
        """The declared shape of a value, by its name."""
        if name in self._makers:
            types = {o.name: o.type for o in self._makers[name].outputs}
        else:
            types = {i.name: i.type for i in self.model.mlProgram.functions["main"].inputs}
        return tuple(int(d.constant.size) for d in types[name].tensorType.dimensions)

    # ---- constants

    def constant(self, op: Op, parameter: str) -> Any:
        """The value of a constant parameter: an array, or a `str`."""
        value, dtype, shape = self._value(op, parameter)
        if value.WhichOneof("value") == "blobFileValue":
            return self.weight(op, parameter).copy()
        tensor = value.immediateValue.tensor
        kind = tensor.WhichOneof("value")
        if kind == "strings":
            return str(tensor.strings.values[0])
        if kind == "bytes":
            return np.frombuffer(tensor.bytes.values, dtype).reshape(shape)
        return np.array(getattr(tensor, kind).values, dtype).reshape(shape)

    def weight(self, op: Op, parameter: str) -> Array:
        """The array of a constant inside the weight file: what is written to it is written to the file.

        Packed bits come as a vector of bytes.
        """
        value, dtype, shape = self._value(op, parameter)
        if value.WhichOneof("value") != "blobFileValue":
            raise NotHereError(f"{parameter} of {op.type} is not in the weight file")
        _, _, size, start = _RECORD.unpack_from(self._bytes, value.blobFileValue.offset)
        array = np.frombuffer(self._bytes, dtype, size // np.dtype(dtype).itemsize, start)
        return array.reshape(shape) if array.size == int(np.prod(shape)) else array

    def put(self, op: Op, parameter: str, value: Any) -> None:
        """Give a parameter of this op alone another constant, of the same type."""
        old, dtype, _ = self._value(op, parameter)
        new = type(old)()
        new.CopyFrom(old)
        new.ClearField("blobFileValue")
        new.immediateValue.Clear()
        tensor = new.immediateValue.tensor
        if isinstance(value, str):
            tensor.strings.values[:] = [value]
        else:
            array = np.asarray(value, dtype)
            del new.type.tensorType.dimensions[:]
            new.type.tensorType.rank = array.ndim
            for size in array.shape:
                new.type.tensorType.dimensions.add().constant.size = size
            if array.dtype == np.float16 or (array.dtype.itemsize == 1 and array.dtype.kind != "b"):
                tensor.bytes.values = array.tobytes()
            else:
                values = getattr(tensor, _FIELD[array.dtype.kind]).values
                values[:] = array.ravel().tolist()
        if parameter in op.attributes:
            op.attributes[parameter].CopyFrom(new)
            return
        argument = op.inputs[parameter].arguments[0]
        argument.ClearField("name")
        argument.value.CopyFrom(new)

    def _value(self, op: Op, parameter: str) -> tuple[Any, str, tuple[int, ...]]:
        """The stored value, its numpy type and its shape."""
        if parameter in op.attributes:  # compressed weights of iOS 16
            value = op.attributes[parameter]
        elif parameter not in op.inputs:
            raise NotHereError(f"{op.type} without {parameter}")
        else:
            argument = op.inputs[parameter].arguments[0]
            if argument.WhichOneof("binding") == "value":
                value = argument.value
            else:
                maker = self._makers.get(argument.name)
                if maker is None or maker.type != "const":
                    raise NotHereError(f"{parameter} of {op.type} is no plain constant")
                value = maker.attributes["val"]
        tensor = value.type.tensorType
        shape = tuple(int(d.constant.size) for d in tensor.dimensions)
        return value, _STORED.get(tensor.dataType, "O"), shape

    # ---- wiring

    def wire(self, op: Op, parameter: str, name: str, place: int = 0) -> None:
        """Let a parameter take another value."""
        argument = op.inputs[parameter].arguments[place]
        argument.Clear()
        argument.name = name

    def become(self, op: Op, kind: str, **parameters: Any) -> None:
        """Turn an op into one of another kind, keeping the parameters that are named with True."""
        op.type = kind
        for parameter in list(op.inputs):
            if parameter not in parameters:
                del op.inputs[parameter]
        for parameter, value in parameters.items():
            if value is not True:
                self.add(op, parameter, value)

    def add(self, op: Op, parameter: str, value: Any) -> None:
        """Give an op a constant parameter that it does not have."""
        argument = op.inputs[parameter].arguments.add().value
        tensor = argument.immediateValue.tensor
        if isinstance(value, str):
            argument.type.tensorType.dataType = 2
            tensor.strings.values[:] = [value]
            return
        array = np.asarray(value)
        number, field = {"b": (1, "bools"), "i": (23, "ints"), "f": (11, "floats")}[
            array.dtype.kind
        ]
        argument.type.tensorType.dataType = number
        argument.type.tensorType.rank = array.ndim
        for size in array.shape:
            argument.type.tensorType.dimensions.add().constant.size = size
        getattr(tensor, field).values[:] = array.ravel().tolist()
