"""What numbers become when they are stored as planned."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlc.optimize.palette import palette
from mlc.optimize.plan import Weight, dequantize, quantize
from mlc.optimize.recipe import Recipe

__all__ = ["rounded"]

Array = np.ndarray[Any, np.dtype[Any]]


def rounded(values: Array, weight: Weight, recipe: Recipe) -> Array:
    """The float32 values that a target computes with in the place of a constant of the network."""
    if weight.scheme == "linear":
        return dequantize(quantize(values, weight), weight)
    if weight.scheme == "palette":
        table, indices = palette(values, weight.bits, recipe.palette)
        found: Array = table[indices]
        return found
    return values
