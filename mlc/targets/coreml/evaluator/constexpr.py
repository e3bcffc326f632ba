"""Decodes compressed weights: every `constexpr_*` op of iOS 16 and iOS 18, in plain numpy.

Each decoder takes the op's parameters as arrays and returns its results. Arithmetic is float32 and
is rounded once to the type that the op declares, so that a value is what MIL's formula gives. The
decoders know nothing of packages; nested and joint compressions arise by the caller decoding a
parameter first (`program.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc.targets.coreml.evaluator.blob import unpack

__all__ = ["DECODERS", "Decoder", "dequantized"]

Array = np.ndarray[Any, np.dtype[Any]]
Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Decoder:
    """How one kind of compressed weight is decoded, and which parameters that honours."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    decode: Callable[[Parameters], tuple[Array, ...]]


def dequantized(data: Array, scale: Array, offset: Array | None, axis: int | None) -> Array:
    """Gives scale · (data - offset), scale and offset being scalars or vectors along `axis`."""

    def spread(parameter: Array) -> Array:
        if parameter.ndim == 0 or parameter.size == 1 or axis is None:
            return parameter.astype(np.float32).reshape(())
        shape = [1] * data.ndim
        shape[axis] = -1
        return parameter.astype(np.float32).reshape(shape)

    shifted = data.astype(np.float32)
    if offset is not None:
        shifted -= spread(offset)
    shifted *= spread(scale)
    return shifted.astype(scale.dtype)


def _affine(p: Parameters) -> tuple[Array, ...]:
    return (dequantized(p["quantized_data"], p["scale"], p["zero_point"], int(p["axis"])),)


def _blocks(parameter: Array, shape: tuple[int, ...]) -> Array:
    """Repeat a parameter that is given once per block until it has `shape`.

    Axes along which it is one value, or one value per element, are left to numpy's broadcasting.
    """
    for axis, (many, few) in enumerate(zip(shape, parameter.shape, strict=True)):
        if few not in (1, many):
            parameter = np.repeat(parameter, many // few, axis)
    return parameter


def _shift_scale(data: Array, scale: Array, offset: Array | None) -> Array:
    shifted = data.astype(np.float32)
    if offset is not None:
        shifted -= _blocks(offset.astype(np.float32), data.shape)
    shifted *= _blocks(scale.astype(np.float32), data.shape)
    return shifted.astype(scale.dtype)


def _blockwise(p: Parameters) -> tuple[Array, ...]:
    return (_shift_scale(p["data"], p["scale"], p.get("offset")),)


def _palette(indices: Array, lut: Array, vector_axis: int | None) -> Array:
    """Look every index up in the palette of its group.

    `lut` has shape [groups along each axis of `indices`..., palettes, vector size]. A vector takes the
    place of its index along `vector_axis`.
    """
    *groups, entries, vector = lut.shape
    rows = indices.astype(np.int32) if len(groups) and np.prod(groups) > 1 else indices
    if rows is not indices:
        group = np.zeros((1,) * indices.ndim, np.int32)
        for axis, (size, count) in enumerate(zip(indices.shape, groups, strict=True)):
            along = [1] * indices.ndim
            along[axis] = size
            which = np.arange(size, dtype=np.int32) // (size // count)
            group = group * count + which.reshape(along)
        rows = rows + group * entries
    found = lut.reshape(-1, vector)[rows]
    if vector == 1:
        return np.asarray(found[..., 0])
    axis = 0 if vector_axis is None else vector_axis % indices.ndim
    found = np.moveaxis(found, -1, axis + 1)
    shape = list(indices.shape)
    shape[axis] *= vector
    return found.reshape(shape)


def _lut_to_dense(p: Parameters) -> tuple[Array, ...]:
    if "shape" not in p:  # iOS 18
        return (_palette(p["indices"], p["lut"], _axis(p)),)
    shape = tuple(int(d) for d in p["shape"])
    bits = int(p["lut"].size).bit_length() - 1
    name = f"uint{bits}"
    return (p["lut"][unpack(p["indices"], name, int(np.prod(shape)))].reshape(shape),)


def _axis(p: Parameters) -> int | None:
    return None if p.get("vector_axis") is None else int(p["vector_axis"])


def _scatter(nonzero: Array, mask: Array) -> Array:
    dense = np.zeros(mask.shape, nonzero.dtype)
    dense[mask.astype(bool)] = nonzero
    return dense


def _sparse_to_dense(p: Parameters) -> tuple[Array, ...]:
    mask = p["mask"]
    if "shape" in p:  # iOS 16: one byte holds eight flags
        shape = tuple(int(d) for d in p["shape"])
        mask = unpack(mask, "uint1", int(np.prod(shape))).reshape(shape)
    return (_scatter(p["nonzero_data"], mask),)


def _lut_to_sparse(p: Parameters) -> tuple[Array, ...]:
    mask, lut, axis = p["indices_mask"], p["lut"], _axis(p)
    values = _palette(_scatter(p["indices_nonzero_data"], mask), lut, axis)
    if axis is not None:
        mask = np.repeat(mask, lut.shape[-1], axis)
    return mask, values[mask.astype(bool)]


def _sparse_blockwise(p: Parameters) -> tuple[Array, ...]:
    mask = p["data_mask"]
    values = _shift_scale(_scatter(p["nonzero_data"], mask), p["scale"], p.get("offset"))
    return mask, values[mask.astype(bool)]


def _cast(p: Parameters) -> tuple[Array, ...]:
    return (
        p["source_val"].astype({"fp16": np.float16, "fp32": np.float32}[str(p["output_dtype"])]),
    )


DECODERS: dict[str, Decoder] = {
    "constexpr_affine_dequantize": Decoder(
        ("quantized_data", "zero_point", "scale", "axis"), (), _affine
    ),
    "constexpr_blockwise_shift_scale": Decoder(("data", "scale"), ("offset",), _blockwise),
    "constexpr_cast": Decoder(("source_val", "output_dtype"), (), _cast),
    "constexpr_lut_to_dense": Decoder(("indices", "lut"), ("shape", "vector_axis"), _lut_to_dense),
    "constexpr_lut_to_sparse": Decoder(
        ("indices_mask", "indices_nonzero_data", "lut"), ("vector_axis",), _lut_to_sparse
    ),
    "constexpr_sparse_blockwise_shift_scale": Decoder(
        ("data_mask", "nonzero_data", "scale"), ("offset",), _sparse_blockwise
    ),
    "constexpr_sparse_to_dense": Decoder(("nonzero_data", "mask"), ("shape",), _sparse_to_dense),
}
