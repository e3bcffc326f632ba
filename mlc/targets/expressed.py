"""What every format stores for a recipe: one table, which docs print and tests hold artifacts to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mlc.optimize.recipe import Precision, Recipe
from mlc.targets.target import Options

__all__ = ["FORMATS", "Format", "Stored"]


@dataclass(frozen=True)
class Stored:
    """What is in the file.

    `kind` is the type of large weights; a palette's are indices into a table. One weight takes no more
    than `values` different ones; None means any number.
    """

    kind: Precision
    values: int | None
    activations: Precision


@dataclass(frozen=True)
class Format:
    """A format with the `options` that decide on what it can hold.

    1. `activations` are those that it computes with in integers; otherwise it computes in `floats`, and
       for fp16 in `halves`.
    2. `integers` maps the bits of linear weights to the type that holds them;
    3. `palettes` maps the bits of palettes to what holds them, or to float16 where the values are stored.
    4. Bits that are not there stay float16.
    """

    name: str
    target: str
    options: Options = field(default_factory=Options)
    floats: Precision = "float32"
    halves: Precision = "float32"
    activations: frozenset[Precision] = frozenset()
    integers: Mapping[int, Precision] = field(default_factory=dict)
    palettes: Mapping[int, Precision] = field(default_factory=dict)
    palettes_beside_integers: bool = (
        False  # whether activations are integers where weights have palettes
    )

    def stored(self, recipe: Recipe) -> Stored:
        """What becomes of large weights, and of activations where there are data to calibrate on."""
        if recipe.weights == "float32":
            return Stored("float32", None, "float32")
        if recipe.weights == "float16":
            return Stored("float16", None, self.halves)
        beside = self.palettes_beside_integers or not recipe.palettized
        integers = recipe.activations in self.activations and beside
        activations = recipe.activations if integers else self.floats
        kinds = self.palettes if recipe.palettized else self.integers
        kind = kinds.get(recipe.weight_bits)
        if kind is None:
            return Stored("float16", None, activations)
        return Stored(kind, 2**recipe.weight_bits - (not recipe.palettized), activations)


_TABLES: dict[int, Precision] = {
    1: "palette1", 2: "palette2", 3: "palette3", 4: "palette4", 6: "palette6", 8: "palette8",
}  # fmt: skip
_TABLES_OF_IOS_16 = {**_TABLES, 3: _TABLES[4]}
_VALUES: dict[int, Precision] = dict.fromkeys(_TABLES, "float16")
_BYTES: dict[int, Precision] = {8: "int8", 4: "int8"}
_NIBBLES: dict[int, Precision] = {8: "int8", 4: "int4"}

_IOS_15 = Format("Core ML, iOS 15", "coreml", Options(ios=15), floats="float16", halves="float16")
_IOS_16 = replace(
    _IOS_15,
    name="Core ML, iOS 16",
    options=Options(ios=16),
    integers=_BYTES,
    palettes=_TABLES_OF_IOS_16,
)
_IOS_17 = replace(
    _IOS_16,
    name="Core ML, iOS 17",
    options=Options(ios=17),
    activations=frozenset({"int8"}),
    palettes_beside_integers=True,
)
_IOS_18 = replace(
    _IOS_17,
    name="Core ML, iOS 18",
    options=Options(ios=18),
    integers=_NIBBLES,
    palettes=_TABLES,
)

FORMATS = (
    _IOS_15,
    _IOS_16,
    _IOS_17,
    _IOS_18,
    Format(
        "TFLite",
        "tflite",
        activations=frozenset({"int8", "int16"}),
        integers=_NIBBLES,
        palettes=_VALUES,
    ),
    Format(
        "ONNX",
        "onnx",
        halves="float16",
        activations=frozenset({"int8"}),
        integers=_BYTES,
        palettes=_TABLES,
    ),
    Format(
        "TF.js",
        "tfjs",
        integers=_BYTES,
        palettes=_VALUES,
    ),
)
