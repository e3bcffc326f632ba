"""What the user asked for: data, not code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mlc.errors import UsageError

__all__ = ["EXAMPLES", "FLOAT32", "Palette", "Precision", "Recipe", "named"]

Precision = Literal[
    "float32", "float16", "int16", "int8", "int4",
    "palette8", "palette6", "palette4", "palette3", "palette2", "palette1",
]  # fmt: skip
Palette = Literal["kmeans", "uniform"]

_FLOATS: dict[str, Precision] = {"fp32": "float32", "fp16": "float16"}
_ALIASES = {"int8": "w8a8", "int8-weights": "w8", "int4-weights": "w4"}
_RULE = re.compile(r"w(\d)(?:a(8|16))?(?:-(palette|uniform))?(-per-tensor)?")
_INTEGERS: dict[str, Precision] = {"8": "int8", "4": "int4"}
_ACTIVATIONS: dict[str, Precision] = {"8": "int8", "16": "int16"}
_PALETTES: dict[str, Precision] = {
    "8": "palette8", "6": "palette6", "4": "palette4",
    "3": "palette3", "2": "palette2", "1": "palette1",
}  # fmt: skip

# For help texts; any other name that follows the rule is as good.
EXAMPLES = ("fp32", "fp16", "int8", "int8-weights", "w8a16", "w4", "w6-palette", "w4-palette")


@dataclass(frozen=True)
class Recipe:
    """Precision of weights and of activations.

    The name follows a rule: `fp32`, `fp16`, or `w` and the bits of the weights, then `a` and the bits of
    the activations where they are integers too, then `-palette` (a table of 2^bits values found by
    k-means) or `-uniform` (evenly spaced ones), then `-per-tensor` where all channels of a weight share
    one scale. `int8` means `w8a8`, `int8-weights` means `w8`.

    It is what is asked for; what became of it in a format, the artifact states.
    """

    name: str
    weights: Precision
    activations: Precision
    palette: Palette = "kmeans"
    per_channel: bool = True

    @property
    def weight_bits(self) -> int:
        """Bits of one weight, or of its index into a palette."""
        return int(re.sub(r"\D", "", self.weights))

    @property
    def palettized(self) -> bool:
        """Whether weights are indices into a table of values."""
        return self.weights.startswith("palette")

    @property
    def integer_activations(self) -> bool:
        """Whether activations are asked to be integers, which needs their ranges."""
        return self.activations.startswith("int")

    @property
    def learns_from_samples(self) -> bool:
        """Whether data make the plan better: ranges of activations, how weights are rounded."""
        return self.weights not in ("float32", "float16")


def named(name: str) -> Recipe:
    """The recipe of that name; raises `UsageError` for one that breaks the rule."""
    if name in _FLOATS:
        return Recipe(name, _FLOATS[name], _FLOATS[name])
    match = _RULE.fullmatch(_ALIASES.get(name, name))
    if match:
        bits, activation, palette, per_tensor = match.groups()
        weights = (_PALETTES if palette else _INTEGERS).get(bits)
        if weights:
            return Recipe(
                name=name,
                weights=weights,
                activations=_ACTIVATIONS[activation] if activation else "float32",
                palette="uniform" if palette == "uniform" else "kmeans",
                per_channel=not per_tensor,
            )
    raise UsageError(
        f"There is no recipe {name!r}.",
        f"Use one of {', '.join(EXAMPLES)}: w and the bits of the weights (8 or 4; as -palette or "
        "-uniform 8, 6, 4, 3, 2 or 1), then a8 or a16 for integer activations.",
    )


FLOAT32 = named("fp32")
