"""Network → .onnx."""

from __future__ import annotations

from pathlib import Path

from mlc.convert.network import Network
from mlc.optimize.passes.palettize import palettize
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import Precision, Recipe
from mlc.targets.onnx.calibrated import Lowered, quantize_operations
from mlc.targets.onnx.census import Census, count
from mlc.targets.onnx.convert import convert, rebuilt
from mlc.targets.onnx.halve import halve
from mlc.targets.onnx.label import label
from mlc.targets.onnx.weights import store_weights
from mlc.targets.planned import PlannedWeights
from mlc.targets.target import Calibration, Emission, Options

__all__ = ["emit"]

_QUANTIZED_OPSET = 13  # the first in which a scale per channel can be written


def emit(
    network: Network,
    plan: Plan,
    calibration: Calibration | None,
    options: Options,
    path: Path,
) -> Emission:
    """Convert, lower the plan, order, label, check, write.

    * `fp16`: constants and computation in float16, inputs and outputs in float32;
    * 8-bit activations: QuantizeLinear/DequantizeLinear pairs where the plan stores integers;
    * other weights in fewer bits are widened when the file is loaded, computation is in float32.

    Nothing is calibrated here, so `calibration` is not read.
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
        store_weights(model, PlannedWeights(network, plan), recipe)
    model = rebuilt(model, network)
    label(model, network)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))

    census = count(model)
    return Emission(
        path=path,
        weights=_precision(recipe, census),
        activations=census.activations,
        notes=(*notes, *_notes(plan, lowered, census)),
    )


def _precision(recipe: Recipe, census: Census) -> Precision:
    """What the numbers are, however many bits they are stored in."""
    narrow = recipe.weights == "int4" or recipe.palettized
    return recipe.weights if narrow and census.weights == "int8" else census.weights


def _notes(plan: Plan, lowered: Lowered | None, census: Census) -> tuple[str, ...]:
    recipe = plan.recipe
    notes = []
    left = census.parameters["float32"]
    if recipe.weights == "int4":
        notes.append(
            "The weights are on the plan's grid of 4 bits, but stored in 8: ONNX has 4 from opset 21."
        )
    elif recipe.palettized:
        notes.append("Palettes are tables of float32, with an index of 8 bits for each weight.")
    if recipe.weights != _precision(recipe, census):
        notes.append(
            f"{recipe.weights} weights were asked for, but all stayed {census.weights}: there are "
            "none in operations that take them, or only small ones."
        )
    elif recipe.weights != "float32" and left:
        notes.append(
            f"{left:,} of {census.parameters.total():,} parameters stayed float32: small tensors, "
            f"and those of operations that take no {recipe.weights}."
        )
    if recipe.activations == "int16":
        notes.append("Activations stay float32: ONNX has 16-bit ones from opset 21 on.")
    elif recipe.activations == "int8" and recipe.palettized:
        notes.append("Activations stay float32: palettes are widened to it.")
    elif recipe.activations == "int8" and lowered is None:
        notes.append(
            "Without calibration data activations stay float32; give --data for integer kernels."
        )
    elif recipe.activations == "int8" and census.float_products:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(census.float_products.items()))
        notes.append(f"Computed in float32, having no integer kernel: {kinds}.")
    if lowered and lowered.coarser:
        notes.append(
            f"{lowered.coarser} of {lowered.exact + lowered.coarser} weights have larger scales than "
            f"the plan's, by at most {lowered.most:.2f} times: with the plan's, sums would overflow on "
            "x64 CPUs without VNNI."
        )
    return tuple(notes)
