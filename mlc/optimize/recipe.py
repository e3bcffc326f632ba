"""What the user asked for: data, not code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mlc.errors import UsageError

__all__ = ["RECIPES", "Precision", "Recipe", "named"]

Precision = Literal["float32", "float16", "int8"]


@dataclass(frozen=True)
class Recipe:
    """Precision of weights and of activations.

    A recipe's name is `fp32`, or the weights' precision (`fp16`), or weights' and activations' together
    where both are integers (`int8`). `activations` is what is asked for where data to calibrate on
    exist and the format has integer activations; an artifact states what it became.
    """

    name: str
    weights: Precision
    activations: Precision


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("fp32", "float32", "float32"),
        Recipe("fp16", "float16", "float16"),
        Recipe("int8", "int8", "int8"),
    )
}


def named(name: str) -> Recipe:
    """The recipe of that name; raises `UsageError` for an unknown one."""
    try:
        return RECIPES[name]
    except KeyError:
        raise UsageError(
            f"There is no recipe {name!r}.", f"Use one of {', '.join(RECIPES)}."
        ) from None
