"""Weights that the fast kernels of some CPUs would add up wrongly.

x64 CPUs without VNNI multiply uint8 activations by int8 weights and add *two* products in 16 bits
(`vpmaddubsw`), which saturate silently. 255 · (w₁ + w₂) fits while `|w₁ + w₂| ≤ 128`. Products of uint8
by uint8 have other kernels, which add in 32 bits on every CPU. The usual remedy, to halve all weights
(`reduce_range`), loses a bit of each; larger scales for those channels alone that would overflow lose
nearly as much:

| ResNet-8, 2,000 pictures, onnxruntime on AVX2 | same class as in float32 |
|---|---|
| the plan's integers as int8 | 86.5 % |
| larger scales where pairs would overflow | 95.6 % |
| the plan's integers as uint8, or as int8 with exact kernels | 98.0 % |
| the plan in float32 arithmetic | 98.1 % |

uint8 weights are slower, by 4 to 40 % in a MobileNetV2 here; so those that cannot overflow stay int8.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["may_overflow"]

Array = np.ndarray[Any, np.dtype[Any]]

_MOST = 128  # 255 * 128 < 2^15


def may_overflow(node: Any, integers: Array) -> bool:
    """Whether two neighbours in a sum of this operation may be too large together.

    `integers` are the int8 weights of a Conv, Gemm or MatMul.

    1. In products of matrices, and convolutions of 1×1, the pair is two neighbours in the sum.
    2. In larger convolutions the order of the sum depends on the memory layout: any two of the weights.
    3. Depthwise convolutions have another kernel, which adds in 32 bits.
    """
    wide = integers.astype(np.int32)
    if node.op_type == "Conv":
        group = next((a.i for a in node.attribute if a.name == "group"), 1)
        if group == len(wide) and wide.shape[1] == 1:
            return False
        rows = wide.reshape(len(wide), -1)
        most = _neighbours(rows) if rows.shape[1] == wide.shape[1] else _any_two(rows)
    elif wide.ndim == 2:
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        most = _neighbours(wide if transposed else wide.T)
    else:
        most = 2 * int(np.abs(wide).max())
    return most > _MOST


def _neighbours(rows: Array) -> int:
    """The largest sum, without regard to sign, of weights 2i and 2i+1 of a row."""
    if rows.shape[1] % 2:
        rows = np.pad(rows, ((0, 0), (0, 1)))
    # A product may be 0, so weights of unlike signs do not help each other.
    both = [np.maximum(sign * rows, 0) for sign in (1, -1)]
    return max(int((half[:, ::2] + half[:, 1::2]).max()) for half in both)


def _any_two(rows: Array) -> int:
    """The largest sum, without regard to sign, of two weights of a row."""
    both = [np.sort(np.maximum(sign * rows, 0), axis=1)[:, -2:] for sign in (1, -1)]
    return max(int(half.sum(axis=1).max()) for half in both)
