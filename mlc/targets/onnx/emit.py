"""Network → .onnx."""

from __future__ import annotations

from pathlib import Path

from mlc.convert.network import Network
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import Recipe
from mlc.targets.onnx.calibrated import Lowered, quantize_operations
from mlc.targets.onnx.census import Census, count
from mlc.targets.onnx.convert import convert, rebuilt
from mlc.targets.onnx.halve import halve
from mlc.targets.onnx.label import label
from mlc.targets.onnx.weights import quantize_weights
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
    """Convert, rewrite to the recipe's precision, order, label, check, write.

    * `fp32`: as the network;
    * `fp16`: constants and computation in float16, inputs and outputs in float32;
    * `int8` with calibration data: QuantizeLinear/DequantizeLinear pairs around every operation that
      onnxruntime has an integer kernel for;
    * `int8` without: integer weights, computation in float32.
    """
    recipe = plan.recipe
    import onnx

    opset = options.opset
    notes = []
    if recipe.weights == "int8" and opset < _QUANTIZED_OPSET:
        opset = _QUANTIZED_OPSET
        notes.append(f"int8 needs ONNX opset {opset}; {options.opset} was asked for.")
    model = convert(network, opset)
    lowered = quantize_operations(model, network, plan) if plan.calibrated else None
    model = rebuilt(model, network, suffix=":0")

    if recipe.weights == "float16":
        clamped = halve(model)
        if clamped:
            notes.append(
                f"{clamped} constants beyond float16's range (±65,504) were clamped to it."
            )
    elif recipe.weights == "int8":
        quantize_weights(model)  # those of operations without an integer kernel: LSTM, GRU, ...
    model = rebuilt(model, network)
    label(model, network)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))

    census = count(model)
    return Emission(
        path=path,
        weights=census.weights,
        activations=census.activations,
        notes=(*notes, *_notes(recipe, lowered, census)),
    )


def _notes(recipe: Recipe, lowered: Lowered | None, census: Census) -> tuple[str, ...]:
    notes = []
    left = census.parameters["float32"]
    if recipe.weights != census.weights:
        notes.append(
            f"{recipe.weights} weights were asked for, but all stayed {census.weights}: there are "
            "none in operations that take them, or only small ones."
        )
    elif recipe.weights != "float32" and left:
        notes.append(
            f"{left:,} of {census.parameters.total():,} parameters stayed float32: small tensors, "
            f"and those of operations that take no {recipe.weights}."
        )
    if recipe.activations == "int8" and lowered is None:
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
