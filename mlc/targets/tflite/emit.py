"""Network → .tflite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlc.convert.execute import concrete_function
from mlc.convert.network import Network
from mlc.errors import UnsupportedError
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import Recipe
from mlc.targets.target import Arrays, Calibration, Emission, Options
from mlc.targets.tflite import flatbuffer
from mlc.targets.tflite.census import Census, count
from mlc.targets.tflite.label import label
from mlc.targets.tflite.refusal import refusal
from mlc.targets.tflite.standard import attach_files

__all__ = ["emit"]


def emit(
    network: Network,
    plan: Plan,
    calibration: Calibration | None,
    options: Options,
    path: Path,
) -> Emission:
    """Convert, label, write; then say what the file holds, not what was asked of the converter.

    * `fp32`: as the network;
    * `fp16`: float16 weights, which LiteRT widens on CPUs and keeps on GPUs;
    * `int8` with calibration data: integer kernels wherever TFLite has one, float inputs and outputs;
    * `int8` without, or with loops: integer weights, activations in float32.
    """
    recipe = plan.recipe
    loops = _has_loops(network)
    if loops:
        calibration = None  # the converter's calibration ends the process with a segmentation fault
    model = flatbuffer.parse(_convert(network, recipe, calibration))
    _refuse_state(model)
    label(model, network)
    path.write_bytes(attach_files(flatbuffer.serialize(model), network))

    census = count(model)
    return Emission(
        path=path,
        weights=census.weights,
        activations=census.activations,
        notes=_notes(recipe, calibration is not None, loops, census),
    )


def _convert(network: Network, recipe: Recipe, calibration: Calibration | None) -> bytes:
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete_function(network)])
    # Never SELECT_TF_OPS: such files need the Flex library, which phones do not have.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if recipe.weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif recipe.activations == "int8" and calibration is not None:
        # With both sets the converter quantizes each op that has an integer kernel and leaves the
        # others in float. Where all have one, the bytes are those of TFLITE_BUILTINS_INT8 alone.
        converter.target_spec.supported_ops.append(tf.lite.OpsSet.TFLITE_BUILTINS_INT8)
        converter.representative_dataset = lambda: _samples(network, calibration)
    try:
        return bytes(converter.convert())
    except ConverterError as error:
        raise refusal(str(error), network.inputs) from error


def _samples(network: Network, calibration: Calibration) -> Iterator[list[Any]]:
    """Calibration batches, cut to the network's own batch, in the order of its inputs."""
    for batch in calibration():
        yield from _cut(network, batch)


def _cut(network: Network, batch: Arrays) -> Iterator[list[Any]]:
    arrays = [batch[spec.name].astype(spec.dtype) for spec in network.inputs]
    own = network.inputs[0].shape[:1]
    if not own:
        yield arrays
        return
    size = own[0] or 1
    for start in range(0, len(arrays[0]) - size + 1, size):
        yield [array[start : start + size] for array in arrays]


def _has_loops(network: Network) -> bool:
    """Whether there are loops: LSTM and GRU layers that are not unrolled."""
    import tensorflow as tf

    graph_def = tf.compat.v1.GraphDef.FromString(network.graph)
    nodes = [*graph_def.node, *(n for f in graph_def.library.function for n in f.node_def)]
    return any(node.op in ("While", "StatelessWhile") for node in nodes)


def _refuse_state(model: Any) -> None:
    """Refuse variables: the converter writes files with them whose initial values are lost."""
    state = sorted(
        name
        for name in flatbuffer.histogram(model)
        if name in ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")
    )
    if state:
        raise UnsupportedError(
            f"The network keeps state between runs ({', '.join(state)}), which TFLite files lose.",
            "Make the layer stateless, and pass its state in and out as tensors.",
        )


def _notes(recipe: Recipe, calibrated: bool, loops: bool, census: Census) -> tuple[str, ...]:
    notes = []
    if census.weights != recipe.weights:
        notes.append(
            f"{recipe.weights} weights were asked for, but the converter left them in "
            f"{census.weights}: it passes over tensors of fewer than 1,024 elements."
        )
    elif recipe.weights == "float16":
        notes.append(
            "The weights are float16; LiteRT computes in float32 on CPUs and in float16 on GPUs."
        )
    elif recipe.weights == "int8" and census.float_parameters:
        notes.append(
            f"{census.float_parameters:,} of {census.parameters:,} parameters stayed float32: "
            "small tensors, and those of operations without an integer kernel."
        )
    if recipe.activations == "int8" and loops:
        notes.append(
            "Activations stay float32 (dynamic range quantization): TFLite's converter cannot "
            "calibrate a network with loops. Unroll its recurrent layers for integer kernels."
        )
    elif recipe.activations == "int8" and not calibrated:
        notes.append(
            "Without calibration data activations stay float32 (dynamic range quantization); "
            "give --data for integer kernels."
        )
    elif recipe.activations == "int8" and census.float_ops:
        notes.append(
            f"{census.float_op_count} of {census.op_count} operations stayed float32, having no "
            f"integer kernel for these inputs: {', '.join(census.float_ops)}."
        )
    return tuple(notes)
