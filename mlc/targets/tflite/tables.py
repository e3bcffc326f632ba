"""Flatbuffers by a schema that is data: tables as dictionaries, written and read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Schema", "Union", "read", "write"]


class Union(tuple[str, ...]):
    """The tables that a field of a union may hold; a value is a pair: name of the table, table."""

    __slots__ = ()


# Table → its fields in the order of their slots. A type is "string", "byte", "int", "uint" or "float",
# the name of a table, a list of one of these, or a `Union`, which takes two slots.
Schema = Mapping[str, Mapping[str, Any]]


def write(schema: Schema, table: str, value: Mapping[str, Any], identifier: bytes) -> bytes:
    """A whole buffer whose root is `table`. Fields that `value` lacks, or that are empty, stay away."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(_write_table(builder, schema, table, value), identifier)
    return bytes(builder.Output())


def read(schema: Schema, table: str, data: bytes) -> dict[str, Any]:
    """What `write` wrote, or another program: fields that are absent are left out, unknown ones too.

    Raises what flatbuffers raises on damaged bytes: `struct.error`, `IndexError`, `ValueError`, ….
    """
    from flatbuffers import encode, packer
    from flatbuffers.table import Table

    root = encode.Get(packer.uoffset, data, 0)
    return _read_table(schema, table, Table(data, root))


# --- writing: children before parents ---


def _write_table(builder: Any, schema: Schema, table: str, value: Mapping[str, Any]) -> int:
    slots: list[tuple[int, str, Any]] = []
    slot = 0
    for name, kind in schema[table].items():
        given = value.get(name)
        if isinstance(kind, Union):
            if given is not None:
                inner, content = given
                slots.append((slot, "ubyte", kind.index(inner) + 1))
                slots.append((slot + 1, "offset", _write_table(builder, schema, inner, content)))
            slot += 2
            continue
        if given not in (None, "", []):
            scalar = kind in ("byte", "int", "uint", "float")
            slots.append(
                (slot, kind, given)
                if scalar
                else (slot, "offset", _write_object(builder, schema, kind, given))
            )
        slot += 1
    builder.StartObject(slot)
    for number, kind, given in slots:
        _put(builder, number, kind, given)
    return int(builder.EndObject())


def _write_object(builder: Any, schema: Schema, kind: Any, value: Any) -> int:
    if kind == "string":
        return int(builder.CreateString(value))
    if not isinstance(kind, list):
        return _write_table(builder, schema, kind, value)
    (item,) = kind
    if item == "float":
        builder.StartVector(4, len(value), 4)
        for number in reversed(value):
            builder.PrependFloat32(number)
    else:
        offsets = [_write_object(builder, schema, item, each) for each in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _put(builder: Any, slot: int, kind: str, value: Any) -> None:
    if kind == "offset":
        builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        return
    methods = {
        "ubyte": builder.PrependUint8Slot,
        "byte": builder.PrependInt8Slot,
        "int": builder.PrependInt32Slot,
        "uint": builder.PrependUint32Slot,
        "float": builder.PrependFloat32Slot,
    }
    methods[kind](slot, value, 0)


# --- reading ---


def _read_table(schema: Schema, table: str, at: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    slot = 0
    for name, kind in schema[table].items():
        if isinstance(kind, Union):
            value = _read_union(schema, kind, at, slot)
            slot += 2
        else:
            offset = at.Offset(4 + 2 * slot)
            value = _read_value(schema, kind, at, at.Pos + offset) if offset else None
            slot += 1
        if value is not None:
            found[name] = value
    return found


def _read_union(schema: Schema, kind: Union, at: Any, slot: int) -> tuple[str, Any] | None:
    from flatbuffers import number_types
    from flatbuffers.table import Table

    chosen, content = at.Offset(4 + 2 * slot), at.Offset(6 + 2 * slot)
    number = at.Get(number_types.Uint8Flags, at.Pos + chosen) if chosen else 0
    if not content or not 0 < number <= len(kind):
        return None
    inner = kind[number - 1]
    table = Table(at.Bytes, at.Indirect(at.Pos + content))
    return inner, _read_table(schema, inner, table)


def _read_value(schema: Schema, kind: Any, at: Any, where: int) -> Any:
    from flatbuffers import number_types
    from flatbuffers.table import Table

    numbers = {
        "byte": number_types.Int8Flags,
        "int": number_types.Int32Flags,
        "uint": number_types.Uint32Flags,
        "float": number_types.Float32Flags,
    }
    if isinstance(kind, list):
        start, count = where + at.Get(number_types.UOffsetTFlags, where), 0
        count = at.Get(number_types.UOffsetTFlags, start)
        if count > len(at.Bytes):
            raise ValueError("a vector is longer than its file")
        return [_read_value(schema, kind[0], at, start + 4 + 4 * k) for k in range(count)]
    if kind == "string":
        return at.String(where).decode("utf-8", "replace")
    if kind in numbers:
        return at.Get(numbers[kind], where)
    return _read_table(schema, kind, Table(at.Bytes, at.Indirect(where)))
