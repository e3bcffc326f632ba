"""The last pass over coremltools' program: weights and activations become what the plan decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlc.convert.graph import Body
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import Precision
from mlc.targets.coreml.activations import named_activations, quantize_activations
from mlc.targets.coreml.interface import Interface
from mlc.targets.coreml.layout import planned
from mlc.targets.coreml.weight_errors import remarks
from mlc.targets.coreml.weights import Stored, compress_weights, verify

__all__ = ["Lowering"]

_COMPRESSED_WEIGHTS = 16  # the iOS from which a program may hold compressed weights
_INTEGER_ACTIVATIONS = 17


class Lowering:
    """What becomes of one conversion's program; ask after it has been called.

    `body` is the network's graph that the plan is of. State: what was done.
    """

    def __init__(self, plan: Plan, body: Body, interface: Interface, ios: int) -> None:
        self._plan, self._ios = plan, ios
        self._constants, self._activations = planned(body, plan), named_activations(body, plan)
        picture = interface.picture
        self._divided = picture.name if picture and picture.divisor else None
        self._stored: list[Stored] = []
        self._integers: set[str] = set()

    def __call__(self, program: Any) -> None:
        """Compress coremltools' program, in place."""
        recipe = self._plan.recipe
        if self._ios >= _COMPRESSED_WEIGHTS:
            self._stored = compress_weights(program, self._constants, recipe, self._ios)
        if self._ios >= _INTEGER_ACTIVATIONS and recipe.activations == "int8":
            self._integers = quantize_activations(program, self._activations, self._divided)

    def verify(self, path: Path) -> None:
        """Raise `UnsupportedError` if the package at `path` holds other weights than were meant."""
        verify(path, self._stored)

    @property
    def weights(self) -> Precision:
        """What most weights became."""
        sizes = Counter[Precision]()
        for weight in self._stored:
            sizes[weight.encoded.precision] += weight.encoded.values.size
        return sizes.most_common(1)[0][0] if sizes else self._computed

    @property
    def activations(self) -> Precision:
        """What activations became."""
        return "int8" if self._integers else self._computed

    @property
    def _computed(self) -> Precision:
        return "float32" if self._plan.recipe.weights == "float32" else "float16"

    def notes(self) -> Iterator[str]:
        """Sentences on what is not as asked, and what would make it so."""
        recipe, encoded = self._plan.recipe, [weight.encoded for weight in self._stored]
        if recipe.weights not in ("float32", "float16"):
            yield from self._on_weights()
            yield from self._on_activations()
        scales = [e.off for e in encoded if e.off]
        if scales:
            most = 100 * max(scales)
            yield (
                f"Core ML holds scales and palettes in {self._computed}: in {len(scales)} of "
                f"{len(encoded)} weights they differ from the plan's, by {most:.1g} % at most."
            )
        for remark, count in Counter(r for e in encoded for r in e.remarks).items():
            yield f"{count} of {len(encoded)} weights: {remark}."
        bits = 0 if recipe.weights in ("float32", "float16") else recipe.weight_bits
        yield from remarks({weight.name: weight.sqnr for weight in self._stored}, bits)

    def _on_weights(self) -> Iterator[str]:
        planned = [w for w in self._plan.weights if w.scheme != "float"]
        found = [w for w in self._stored if w.planned]
        if self._ios < _COMPRESSED_WEIGHTS:
            yield (
                f"Compressed weights need --ios {_COMPRESSED_WEIGHTS}: "
                f"for iOS {self._ios} they stayed float16."
            )
        elif not self._stored:
            yield f"No weight is large enough for {self._plan.recipe.weights}: all stayed float16."
        elif len(found) < len(planned):
            yield (
                f"{len(planned) - len(found)} of the plan's {len(planned)} weights are not in the "
                "program as they were planned: coremltools made others of them."
            )
        own = len(self._stored) - len(found)
        if own and planned:
            yield (
                f"{own} weights that the plan does not know, in loops or made by a rewrite, "
                "were compressed by the same rule."
            )

    def _on_activations(self) -> Iterator[str]:
        recipe, planned = self._plan.recipe, self._plan.activation
        if recipe.activations == "float32":
            reason = ""
        elif recipe.activations == "int16":
            reason = ": Core ML has no 16-bit integers for them"
        elif self._ios < _INTEGER_ACTIVATIONS:
            reason = f": integer ones need --ios {_INTEGER_ACTIVATIONS}"
        elif not planned:
            reason = ": their ranges are unknown without --data"
        else:
            left = len(planned) - len(self._integers)
            if left:
                yield (
                    f"{left} of the plan's {len(planned)} integer activations are not in the program: "
                    "Core ML computes them inside of larger ops, in float16."
                )
            return
        if self._stored:
            yield f"Weights are {self.weights}, activations float16{reason}."
