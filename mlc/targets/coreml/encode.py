"""One weight → the `constexpr` ops that hold it in fewer bytes, and what they decode to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc.optimize.palette import palette
from mlc.optimize.plan import Weight, quantize
from mlc.optimize.recipe import Palette, Precision

__all__ = ["Encoded", "encode"]

Array = np.ndarray[Any, np.dtype[Any]]

# Where fewer of the values are zero, a sparse tensor saves little and costs time.
_SPARSE = 0.5
# A scale that float16 misses by more is off by half a step at the largest integer: integers are chosen
# anew.
_FAR = 1 / 254
_BLOCK = 32
# Blocks cost 16 bits for 32 weights, half a bit each: what half a bit more would gain in precision.
_BLOCKS_PAY = 3.01

_EIGHT_BITS = "int4 needs --ios 18; until then the same integers take 8 bits"
_FOUR_BITS = "indices of 3 bits need --ios 18; until then they take 4"
_WITH_ZEROS = "mostly zeros, which only --ios 18 leaves out of integers and palettes"
_FINER = "one scale per 32 inputs, finer than the plan's"


@dataclass(frozen=True)
class Encoded:
    """A weight as the package will hold it.

    `values` is what it decodes to, in the type that is computed in. `kind` and `parameters` are the op
    that decodes; where that leaves a `sparse` tensor, `constexpr_sparse_to_dense` follows. `off` is how
    far scales are from the wanted ones, relative to the largest, or a palette's values from theirs:
    Core ML holds them in the type that is computed in. `remarks` say what else is not as asked.
    """

    precision: Precision
    values: Array
    kind: str
    parameters: Mapping[str, Any]
    off: float = 0.0
    remarks: tuple[str, ...] = ()
    sparse: bool = False


def encode(values: Array, weight: Weight, form: Palette, dtype: Any, ios: int) -> Encoded | None:
    """Encode float32 `values` as decided, for that iOS; None where they are best left as they are.

    1. int8: `constexpr_affine_dequantize`, from iOS 18 `constexpr_blockwise_shift_scale`.
    2. int4 needs iOS 18: the plan's scales, or one per 32 inputs where that gains more than its bytes
       would elsewhere. Before iOS 18 the same integers are stored in 8 bits.
    3. palettes: `constexpr_lut_to_dense`. Before iOS 18 an index has 1, 2, 4, 6 or 8 bits.
    4. Where at least half are zeros only the others are stored, with a mask if that is smaller: floats
       from iOS 16, together with int8, int4 or a palette from iOS 18.
    """
    if weight.scheme == "linear":
        return _linear(values, weight, dtype, ios)
    if weight.scheme == "palette":
        return _palette(values, weight, form, dtype, ios)
    return _plain(values, dtype, ios)


def _linear(values: Array, weight: Weight, dtype: Any, ios: int) -> Encoded:
    integers, scale, off = _integers(values, weight, dtype)
    if ios < 18:
        remarks = [_EIGHT_BITS] if weight.bits == 4 else []
        given = {
            "quantized_data": integers,
            "zero_point": np.zeros(scale.size, np.int8) if weight.axes else np.int8(0),
            "scale": scale.reshape(-1) if weight.axes else scale.reshape(())[()],
            "axis": np.int32(weight.axes[0] if weight.axes else 0),
        }
        kind = "constexpr_affine_dequantize"
        return Encoded(
            "int8", _scaled(integers, scale), kind, given, off, _dense(integers, 8, remarks)
        )
    precision: Precision = "int4" if weight.bits == 4 else "int8"
    remarks = []
    blocks = _blocks(values, integers, scale) if weight.bits == 4 else None
    if blocks is not None:
        (integers, scale), off, remarks = blocks, 0.0, [_FINER]
    decoded, mask = _scaled(integers, scale), integers != 0
    data = integers.astype(_type(precision))
    if _worth(mask, weight.bits):
        kind = "constexpr_sparse_blockwise_shift_scale"
        given = {
            "data_mask": mask.astype(_type("uint1")),
            "nonzero_data": data[mask],
            "scale": scale,
        }
        return Encoded(precision, decoded, kind, given, off, tuple(remarks), sparse=True)
    given = {"data": data, "scale": scale}
    kind = "constexpr_blockwise_shift_scale"
    return Encoded(precision, decoded, kind, given, off, tuple(remarks))


def _dense(stored: Array, bits: int, remarks: list[str]) -> tuple[str, ...]:
    """What to say of a tensor that iOS 18 would hold sparse."""
    return (*remarks, _WITH_ZEROS) if _worth(stored != 0, bits) else tuple(remarks)


def _integers(values: Array, weight: Weight, dtype: Any) -> tuple[Array, Array, float]:
    """The plan's integers, and its scales in the type of the program, shaped to broadcast."""
    shape = [values.shape[i] if i in weight.axes else 1 for i in range(values.ndim)]
    wanted = np.asarray(weight.scale, np.float32).reshape(shape)
    scale = np.maximum(wanted.astype(dtype), np.finfo(dtype).smallest_subnormal)
    off = np.abs(scale.astype(np.float32) / wanted - 1)
    most = 2 ** (weight.bits - 1) - 1
    again = np.clip(np.rint(values / scale.astype(np.float32)), -most, most).astype(np.int8)
    # Of channels that are all but dead float16 has no scale: what counts is how far the weight is off.
    distance = float(np.abs(scale.astype(np.float32) - wanted).max() / wanted.max())
    return np.where(off > _FAR, again, quantize(values, weight)), scale, distance


def _blocks(values: Array, integers: Array, scale: Array) -> tuple[Array, Array] | None:
    """Integers and scales per 32 inputs, where they are worth their bytes."""
    axis = 1 if values.ndim > 1 else 0
    if values.shape[axis] % _BLOCK:
        return None
    split = (*values.shape[:axis], -1, _BLOCK, *values.shape[axis + 1 :])
    peak = np.abs(values.reshape(split)).max(axis=axis + 1)
    peak = peak.max(axis=tuple(range(axis + 1, values.ndim)), keepdims=True)
    least = np.finfo(scale.dtype).smallest_subnormal
    finer = np.maximum((peak / 7).astype(scale.dtype), least)
    spread = np.repeat(finer, _BLOCK, axis).astype(np.float32)
    found = np.clip(np.rint(values / spread), -7, 7).astype(np.int8)
    gain = _noise(values, _scaled(integers, scale)) / max(_noise(values, found * spread), 1e-30)
    return (found, finer) if 10 * np.log10(max(gain, 1e-30)) >= _BLOCKS_PAY else None


def _noise(values: Array, decoded: Array) -> float:
    return float(np.sum((values - decoded.astype(np.float32)) ** 2, dtype=np.float64))


def _scaled(integers: Array, scale: Array) -> Array:
    """What Core ML decodes: the product, rounded once."""
    for axis, (many, few) in enumerate(zip(integers.shape, scale.shape, strict=True)):
        if few not in (1, many):
            scale = np.repeat(scale, many // few, axis)
    product: Array = (integers * scale.astype(np.float32)).astype(scale.dtype)
    return product


def _palette(values: Array, weight: Weight, form: Palette, dtype: Any, ios: int) -> Encoded:
    wanted, indices = palette(values, weight.bits, form)
    table = wanted.astype(dtype)
    distance = np.abs(table.astype(np.float32) - wanted)
    off = float(np.max(distance / np.maximum(np.abs(wanted), 1e-30)))
    decoded = table[indices]
    if ios < 18:
        return _packed_palette(table, indices, off)
    precision = _PALETTES[weight.bits]
    lut = table.reshape(*[1] * values.ndim, -1, 1)
    typed = indices.astype(_type(f"uint{weight.bits}"))
    mask = decoded != 0
    if _worth(mask, weight.bits):
        given = {
            "indices_mask": mask.astype(_type("uint1")),
            "indices_nonzero_data": typed[mask],
            "lut": lut,
        }
        return Encoded(precision, decoded, "constexpr_lut_to_sparse", given, off, sparse=True)
    given = {"indices": typed, "lut": lut}
    return Encoded(precision, decoded, "constexpr_lut_to_dense", given, off)


def _packed_palette(table: Array, indices: Array, off: float) -> Encoded:
    """Of iOS 16: indices packed into bytes, palettes of 2, 4, 16, 64 or 256 values."""
    from coremltools.optimize._utils import pack_elements_into_bits

    bits = max(table.size - 1, 1).bit_length()
    remarks = []
    if bits == 3:
        bits, remarks = 4, [_FOUR_BITS]
    given = {
        "indices": pack_elements_into_bits(indices.reshape(-1), bits),
        "lut": np.pad(table, (0, 2**bits - table.size)),
        "shape": np.array(indices.shape, np.uint32),
    }
    decoded, kind = table[indices], "constexpr_lut_to_dense"
    return Encoded(_PALETTES[bits], decoded, kind, given, off, _dense(decoded, bits, remarks))


_PALETTES: dict[int, Precision] = {
    1: "palette1", 2: "palette2", 3: "palette3", 4: "palette4", 6: "palette6", 8: "palette8",
}  # fmt: skip


def _plain(values: Array, dtype: Any, ios: int) -> Encoded | None:
    values = values.astype(dtype)
    mask = values != 0
    if not _worth(mask, 8 * values.itemsize):
        return None
    given: dict[str, Any] = {"nonzero_data": values[mask]}
    if ios >= 18:
        given["mask"] = mask.astype(_type("uint1"))
    else:
        given["mask"] = np.packbits(mask.reshape(-1), bitorder="little")
        given["shape"] = np.array(values.shape, np.uint32)
    precision: Precision = "float16" if dtype == np.float16 else "float32"
    return Encoded(precision, values, "constexpr_sparse_to_dense", given)


def _worth(mask: Array, bits: int) -> bool:
    """Whether leaving out zeros saves more than the mask takes, one bit for each weight."""
    share = float(np.mean(mask))
    return 0 < share <= 1 - _SPARSE and 1 + share * bits < bits


def _type(name: str) -> Any:
    """The numpy type that stands for so many bits in coremltools."""
    from coremltools.converters.mil.mil import types

    return types.nptype_from_builtin(types.string_to_builtin(name))
