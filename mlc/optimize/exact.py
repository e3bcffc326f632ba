"""Numbers that every format holds without rounding them again."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["exact"]

Array = np.ndarray[Any, np.dtype[Any]]

_BITS = 11  # significant ones of a float16


def exact(values: Array) -> Array:
    """The nearest float32 with 11 significant bits: float16 holds it too, unless it is below 2^-14.

    So a scale, or an entry of a palette, is the same number in formats that store it in float16 and in
    those that store it in float32.
    """
    fraction, exponent = np.frexp(values.astype(np.float32))
    rounded: Array = np.ldexp(np.rint(fraction * 2**_BITS) / 2**_BITS, exponent).astype(np.float32)
    return rounded
