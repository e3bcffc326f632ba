"""Network → TF.js graph model: a folder with `model.json` and shards of weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mlc.convert.metadata import facts_of
from mlc.convert.network import Network, TensorSpec
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import Precision
from mlc.targets.target import Calibration, Emission, Options
from mlc.targets.tfjs import stock
from mlc.targets.tfjs.optimize import optimize
from mlc.targets.tfjs.per_channel import SCALES, split_scales

__all__ = ["emit"]

_SHARD_BYTES = 4 * 1024 * 1024  # the largest file that browsers cache without asking

# What each precision of the weights is called in a manifest.
_STORED: dict[Precision, str] = {"float16": "float16", "int8": "uint8"}

_NOTES: dict[Precision, str] = {
    "float16": "TF.js weights are stored as float16 and expanded to float32 at load; "
    "it computes in float32.",
    "int8": "TF.js weights are stored as uint8, kernels with a scale per output channel, and expanded "
    "to float32 in the browser; it computes in float32.",
}


def emit(
    network: Network,
    plan: Plan,
    calibration: Calibration | None,
    options: Options,
    path: Path,
) -> Emission:
    """Write the graph model into the new folder `path`.

    TF.js has no integer arithmetic for networks, so calibration is not used: a recipe changes how the
    weights are stored. Same network and recipe, same bytes.
    """
    recipe = plan.recipe
    import tensorflow as tf

    names = [spec.name for spec in network.inputs], [spec.name for spec in network.outputs]
    graph_def = optimize(tf.compat.v1.GraphDef.FromString(network.graph), *names)
    if recipe.weights == "int8":
        split_scales(graph_def)
    (weights,) = stock.conversion().extract_weights(graph_def)
    for weight in weights:
        weight["data"] = _as_tfjs_holds(weight["data"])
    path.mkdir(parents=True)
    manifest = stock.writer().write_weights(
        [weights],
        str(path),
        shard_size_bytes=_SHARD_BYTES,
        write_manifest=False,
        quantization_dtype_map=_storage(weights, recipe.weights),
    )
    model = _model(network, graph_def, manifest)
    (path / "model.json").write_text(json.dumps(model, separators=(",", ":")), encoding="utf-8")
    notes = (_NOTES[recipe.weights],) if recipe.weights in _NOTES else ()
    return Emission(path, weights=recipe.weights, activations="float32", notes=notes)


def _as_tfjs_holds(data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Cast to TF.js' few types. Integers are clipped, not wrapped: slices end at the largest int64."""
    if np.issubdtype(data.dtype, np.floating):
        return data.astype(np.float32)
    if np.issubdtype(data.dtype, np.integer):
        limits = np.iinfo(np.int32)
        return np.asarray(np.clip(data, limits.min, limits.max), np.int32)  # clip makes scalars
    return data


def _storage(weights: list[dict[str, Any]], precision: Precision) -> dict[str, list[str]] | None:
    """The stock writer's map of stored type → names.

    Only matrices and kernels are made smaller, and only where the stored type can hold their range.
    Scalars and vectors stay: an epsilon of 1e-12 would become 0, a mask of -1e9 infinite, and biases
    weigh little but are added to everything.
    """
    if precision == "float32":
        return None

    def fits(data: np.ndarray[Any, Any]) -> bool:
        if data.dtype != np.float32 or data.ndim < 2 or not np.isfinite(data).all():
            return False
        half = np.finfo(np.float16)
        largest = np.abs(data).max(initial=0.0)
        return precision == "int8" or half.tiny <= largest <= half.max or largest == 0

    names = [w["name"] for w in weights if fits(w["data"]) and not w["name"].endswith(SCALES)]
    return {_STORED[precision]: names}


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
