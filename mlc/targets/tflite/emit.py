"""Network → .tflite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlc.convert.network import Network
from mlc.errors import UnsupportedError
from mlc.optimize.decide import with_integer_outputs
from mlc.optimize.passes.palettize import palettize
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import Precision, Recipe
from mlc.targets.planned import mostly_narrow, notes_on_activations
from mlc.targets.target import Calibration, Emission, InputOutput, Options
from mlc.targets.tflite import flatbuffer
from mlc.targets.tflite.census import Census, count
from mlc.targets.tflite.convert import convert
from mlc.targets.tflite.integers import quantize_operations, stored_scales
from mlc.targets.tflite.interface import integer_interface
from mlc.targets.tflite.label import label
from mlc.targets.tflite.planned import planned_activations, planned_weights
from mlc.targets.tflite.standard import attach_files
from mlc.targets.tflite.tidy import tidy
from mlc.targets.tflite.weights import halve_constants, store_weights

__all__ = ["emit"]


def emit(
    network: Network,
    plan: Plan,
    samples: Calibration | None,
    options: Options,
    path: Path,
) -> Emission:
    """Convert to float32, lower the plan, label, write; then say what the file holds.

    * float16 weights, which LiteRT widens on CPUs and keeps on GPUs;
    * integer activations: integer kernels by the plan's ranges; inputs and outputs are float32, or
      integers too where `options.io` says so, and then nothing of the file is float32;
    * integer weights alone: widened when the file is loaded, activations in float32.
    """
    integer_ends = options.io != "float"
    if integer_ends:
        _refuse_floats(plan, options.io)
        plan = with_integer_outputs(plan)
    network = palettize(network, plan)
    model = convert(network)
    notes: list[str] = []
    palettized = plan.recipe.palettized
    if plan.calibrated and not palettized:
        activations = planned_activations(model, network, plan)
        model = quantize_operations(model, activations, planned_weights(model, network, plan))
        notes += notes_on_activations(plan, stored_scales(model, activations))
    if integer_ends:
        integer_interface(model, options.io)
    store_weights(model, planned_weights(model, network, plan))  # those that are still float32
    halved = plan.recipe.weights == "float16" or palettized
    if halved and (beyond := halve_constants(model)):
        notes.append(f"{beyond} constants beyond float16's range (±65,504) stayed float32.")
    label(model, network)
    tidy(model)
    path.write_bytes(attach_files(flatbuffer.serialize(model), network))

    census = count(model)
    weights = _precision(plan.recipe, census, model)
    return Emission(
        path=path,
        weights=weights,
        activations=census.activations,
        notes=(*notes, *_notes(network, plan, weights, census)),
        io=options.io,
    )


def _refuse_floats(plan: Plan, io: InputOutput) -> None:
    """Integers at the ends need integers in between; a plan may come without them."""
    if not plan.calibrated or plan.recipe.activations != "int8" or plan.recipe.palettized:
        raise UnsupportedError(
            f"--io {io} needs activations in 8 bits, and this plan has none.",
            "Give --int8 and, with --data, samples to find their ranges with.",
        )


def _precision(recipe: Recipe, census: Census, model: Any) -> Precision:
    """What the numbers are, however many bits they are stored in."""
    floats = (
        flatbuffer.values(model, tensor)
        for graph in model.subgraphs
        for tensor in graph.tensors
        if flatbuffer.type_name(tensor.type).startswith("float")
        and flatbuffer.constant(model, tensor)
    )
    palettes = recipe.palettized and mostly_narrow(floats, recipe.weight_bits)
    return recipe.weights if palettes else census.weights


def _notes(network: Network, plan: Plan, weights: Precision, census: Census) -> Iterator[str]:
    recipe = plan.recipe
    if recipe.palettized and weights == recipe.weights:
        integers = ", and activations stay float32" if recipe.integer_activations else ""
        yield (
            "TFLite has no palettes: the weights are their palettes' values, stored as float16"
            f"{integers}. The file becomes small when it is compressed."
        )
        return
    if weights != recipe.weights:
        yield (
            f"{recipe.weights} weights were asked for, but most are {weights}: tensors of fewer "
            "than 1,024 elements are not worth it, and some operations take no others."
        )
    elif recipe.weights == "float16":
        yield "The weights are float16; LiteRT computes in float32 on CPUs and in float16 on GPUs."
    elif recipe.weights != "float32" and census.float_parameters:
        yield (
            f"{census.float_parameters:,} of {census.parameters:,} parameters stayed float32: "
            "small tensors, and those of operations without an integer kernel."
        )
    if not recipe.integer_activations:
        return
    if not plan.calibrated:
        yield "Without calibration data activations stay float32; give --data for integer kernels."
    elif _has_loops(network):
        yield (
            "What loops compute stays float32: their tensors have no ranges. Unroll recurrent layers "
            "for integer kernels."
        )
    elif census.float_ops:
        yield (
            f"{census.float_op_count} of {census.op_count} operations are computed in float32: "
            f"{', '.join(census.float_ops)}."
        )


def _has_loops(network: Network) -> bool:
    """Whether there are loops: LSTM and GRU layers that are not unrolled."""
    nodes: list[Any] = network.nodes()
    return any(node.op in ("While", "StatelessWhile") for node in nodes)
