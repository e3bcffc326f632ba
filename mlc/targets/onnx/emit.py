"""Network → .onnx."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mlc.convert.network import Network
from mlc.optimize.passes.palettize import palettize
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import Precision, Recipe
from mlc.targets.onnx.calibrated import Lowered, quantize_operations
from mlc.targets.onnx.census import Census, count
from mlc.targets.onnx.convert import convert, rebuilt
from mlc.targets.onnx.graphs import all_graphs
from mlc.targets.onnx.halve import halve
from mlc.targets.onnx.label import label
from mlc.targets.onnx.weights import store_weights
from mlc.targets.planned import PlannedWeights, listed, mostly_narrow, notes_on_activations
from mlc.targets.target import Calibration, Emission, Options

__all__ = ["emit"]

_QUANTIZED_OPSET = 13  # the first in which a scale per channel can be written


def emit(
    network: Network,
    plan: Plan,
    samples: Calibration | None,
    options: Options,
    path: Path,
) -> Emission:
    """Convert, lower the plan, order, label, check, write.

    * `fp16`: constants and computation in float16, inputs and outputs in float32;
    * 8-bit activations: QuantizeLinear/DequantizeLinear pairs where the plan stores integers;
    * other weights in fewer bits are widened when the file is loaded, computation is in float32.
    """
    import onnx

    recipe, opset = plan.recipe, options.opset
    compressed = recipe.weights not in ("float32", "float16")
    notes = []
    if compressed and opset < _QUANTIZED_OPSET:
        opset = _QUANTIZED_OPSET
        notes.append(f"{recipe.name} needs ONNX opset {opset}; {options.opset} was asked for.")
    network = palettize(network, plan)
    model = convert(network, opset)
    lowered = None
    if plan.calibrated and recipe.activations == "int8" and not recipe.palettized:
        lowered = quantize_operations(model, network, plan)
    model = rebuilt(model, network, suffix=":0")

    if recipe.weights == "float16":
        clamped = halve(model)
        if clamped:
            notes.append(
                f"{clamped} constants beyond float16's range (±65,504) were clamped to it."
            )
    elif compressed:
        # Those of operations without an integer kernel too: LSTM, GRU, ...
        unknown = store_weights(model, PlannedWeights(network, plan), recipe)
        if unknown:
            notes.append(
                f"{unknown} weights that the plan does not compress, in loops or made by tf2onnx of "
                "others, were compressed by the same rule."
            )
    model = rebuilt(model, network)
    label(model, network)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))

    census = count(model)
    weights = _precision(recipe, census, model)
    return Emission(
        path=path,
        weights=weights,
        activations=census.activations,
        notes=(
            *notes,
            *_on_weights(recipe, weights, census),
            *_on_activations(plan, lowered, census),
        ),
    )


def _precision(recipe: Recipe, census: Census, model: Any) -> Precision:
    """What the numbers are, however many bits they are stored in."""
    import onnx

    if recipe.palettized:
        stored = [
            onnx.numpy_helper.to_array(t) for g in all_graphs(model.graph) for t in g.initializer
        ]
        if mostly_narrow(
            (a for a in stored if a.dtype in (np.int8, np.uint8, np.float32)), recipe.weight_bits
        ):
            return recipe.weights
    return census.weights


def _on_weights(recipe: Recipe, weights: Precision, census: Census) -> Iterator[str]:
    left = census.parameters["float32"]
    if recipe.weights == "int4" and weights == "int8":
        yield "The integers of 4 bits take 8 bits: ONNX has narrower ones from opset 21 on."
    elif weights != recipe.weights:
        yield (
            f"{recipe.weights} weights were asked for, but most are {weights}: tensors of fewer than "
            "1,024 elements are not worth it, and some operations take no others."
        )
        return
    if recipe.palettized:
        yield "Palettes are tables of float32, with an index of 8 bits for each weight."
    if recipe.weights != "float32" and left:
        yield (
            f"{left:,} of {census.parameters.total():,} parameters stayed float32: small tensors, "
            f"and those of operations that take no {recipe.weights}."
        )


def _on_activations(plan: Plan, lowered: Lowered | None, census: Census) -> Iterator[str]:
    recipe = plan.recipe
    if recipe.activations == "int16":
        yield "Activations stay float32: ONNX has 16-bit ones from opset 21 on."
    elif recipe.activations == "int8" and recipe.palettized:
        yield "Activations stay float32: palettes are widened to it."
    elif recipe.activations == "int8" and lowered is None:
        yield "Without calibration data activations stay float32; give --data for integer kernels."
    if lowered is None:
        return
    if census.float_products:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(census.float_products.items()))
        yield f"Computed in float32, having no integer kernel: {kinds}."
    yield from notes_on_activations(plan, lowered.activations)
    if lowered.in_loops:
        yield (
            "Loops and branches read these activations, which stay float32 so that onnxruntime does not "
            f"end the process when it loads the file: {listed(lowered.in_loops)}."
        )
