"""Network → TF.js graph model: a folder with `model.json` and shards of weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlc.convert.metadata import facts_of
from mlc.convert.network import Network, TensorSpec
from mlc.optimize.passes.palettize import palettize
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import Precision, Recipe
from mlc.targets.planned import PlannedWeights, mostly_narrow
from mlc.targets.target import Calibration, Emission, Options
from mlc.targets.tfjs import artifact, stock
from mlc.targets.tfjs.optimize import optimize
from mlc.targets.tfjs.per_channel import split_scales

__all__ = ["emit"]

_SHARD_BYTES = 4 * 1024 * 1024  # the largest file that browsers cache without asking


def emit(
    network: Network,
    plan: Plan,
    samples: Calibration | None,
    options: Options,
    path: Path,
) -> Emission:
    """Write the graph model into the new folder `path`.

    TF.js has no integer arithmetic for networks, so only weights are lowered: linear ones as the plan's
    integers, those of palettes as float16. Same network and plan, same bytes.
    """
    import tensorflow as tf

    recipe = plan.recipe
    network = palettize(network, plan)
    names = [spec.name for spec in network.inputs], [spec.name for spec in network.outputs]
    graph_def = optimize(tf.compat.v1.GraphDef.FromString(network.graph), *names)
    integers = split_scales(graph_def, PlannedWeights(network, plan))
    (weights,) = stock.conversion().extract_weights(graph_def)
    for weight in weights:
        stored = integers.get(weight["name"])
        if stored is None:
            weight["data"] = _as_tfjs_holds(weight["data"])
        else:
            weight["data"] = (stored.astype(np.int16) + 128).astype(np.uint8)
            weight["quantization"] = {"min": -128, "scale": 1, "original_dtype": "float32"}
    halved = _halved(weights) if recipe.weights == "float16" or recipe.palettized else []
    path.mkdir(parents=True)
    manifest = stock.writer().write_weights(
        [weights],
        str(path),
        shard_size_bytes=_SHARD_BYTES,
        write_manifest=False,
        quantization_dtype_map={"float16": halved} if halved else None,
    )
    model = _model(network, graph_def, manifest)
    (path / "model.json").write_text(json.dumps(model, separators=(",", ":")), encoding="utf-8")
    precision = _precision(recipe, weights, artifact.read(path).weights)
    plain = _plain(weights, {*integers, *halved})
    notes = (*_on_weights(plan, len(integers), plain, precision), *_on_activations(recipe))
    return Emission(path, weights=precision, activations="float32", notes=notes)


def _precision(
    recipe: Recipe, weights: Sequence[Mapping[str, Any]], stored: Precision
) -> Precision:
    """What the numbers are, however many bits they are stored in."""
    if recipe.palettized and mostly_narrow(
        (weight["data"] for weight in weights), recipe.weight_bits
    ):
        return recipe.weights
    return stored


def _plain(weights: Sequence[Mapping[str, Any]], compressed: set[str]) -> int:
    """How many numbers of matrices and kernels stay float32."""
    left = [w["data"] for w in weights if w["name"] not in compressed]
    return sum(d.size for d in left if d.dtype == np.float32 and d.size > max(d.shape, default=1))


def _on_weights(plan: Plan, integers: int, plain: int, stored: Precision) -> Iterator[str]:
    recipe = plan.recipe
    planned = sum(weight.scheme == "linear" for weight in plan.weights)
    if stored != recipe.weights and not (recipe.weights == "int4" and stored == "int8"):
        yield (
            f"{recipe.weights} weights were asked for, but most are {stored}: tensors of fewer than "
            "1,024 elements are not worth it, and only weights of linear operations are compressed."
        )
    if integers:
        narrow = ", of which 4 would do," if recipe.weights == "int4" else ""
        yield (
            f"{integers} weights are stored as integers of 8 bits{narrow} with the plan's scales, and "
            "expanded to float32 in the browser."
        )
    if plain and recipe.weights == stored != "float32":
        yield f"{plain:,} numbers of other matrices and kernels stay float32."
    if integers < planned:
        yield (
            f"{planned - integers} of the plan's {planned} weights stay float32: fusing changed them "
            "into others."
        )
    if recipe.palettized and stored == recipe.weights:
        yield (
            "TF.js has no palettes: the weights are their palettes' values, stored as float16. "
            "The file becomes small when it is compressed."
        )
    if recipe.weights == "float16" == stored:
        yield "TF.js weights are stored as float16 and expanded to float32 at load."


def _on_activations(recipe: Recipe) -> Iterator[str]:
    if recipe.activations != "float32":
        yield f"Activations are float32, not {recipe.activations}: TF.js computes in float32."


def _as_tfjs_holds(data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Cast to TF.js' few types. Integers are clipped, not wrapped: slices end at the largest int64."""
    if np.issubdtype(data.dtype, np.floating):
        return data.astype(np.float32)
    if np.issubdtype(data.dtype, np.integer):
        limits = np.iinfo(np.int32)
        return np.asarray(np.clip(data, limits.min, limits.max), np.int32)  # clip makes scalars
    return data


def _halved(weights: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the weights that float16 can hold.

    Only matrices and kernels are made smaller. Scalars and vectors stay: an epsilon of 1e-12 would become
    0, a mask of -1e9 infinite, and biases weigh little but are added to everything.
    """
    half = np.finfo(np.float16)

    def fits(data: np.ndarray[Any, Any]) -> bool:
        if data.dtype != np.float32 or data.ndim < 2 or not np.isfinite(data).all():
            return False
        largest = np.abs(data).max(initial=0.0)
        return bool(half.tiny <= largest <= half.max or largest == 0)

    return [w["name"] for w in weights if fits(w["data"])]


def _model(network: Network, graph_def: Any, manifest: list[dict[str, Any]]) -> dict[str, Any]:
    import tensorflow as tf
    from google.protobuf.json_format import MessageToDict

    return {
        "format": "graph-model",
        "generatedBy": tf.__version__,
        "convertedBy": stock.passes("common").get_converted_by(),
        # In the network's order, not sorted: `model.predict([a, b])` goes by it.
        "signature": {
            "inputs": {spec.name: _tensor_info(spec) for spec in network.inputs},
            "outputs": {spec.name: _tensor_info(spec) for spec in network.outputs},
        },
        "userDefinedMetadata": facts_of(network),
        "modelTopology": _sorted(MessageToDict(graph_def)),
        "weightsManifest": manifest,
    }


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    import tensorflow as tf
    from tensorflow.core.framework import types_pb2

    dims = [{"size": str(-1 if d is None else d)} for d in spec.shape]
    return {
        "name": f"{spec.name}:0",
        "dtype": types_pb2.DataType.Name(tf.as_dtype(spec.dtype).as_datatype_enum),
        "tensorShape": {"dim": dims} if dims else {},
    }


def _sorted(value: Any) -> Any:
    """Objects with their keys in order, all the way down: protobuf maps have none of their own."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value
