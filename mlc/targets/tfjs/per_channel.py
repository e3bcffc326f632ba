"""The plan's integers as weights, exact in the TF.js weight format, with their scales in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlc.optimize.plan import quantize
from mlc.targets.planned import PlannedWeights

__all__ = ["split_scales"]

Array = np.ndarray[Any, np.dtype[Any]]

_PRODUCT = "/mlc_scaled"
_SCALES = "/mlc_scales"


def split_scales(graph_def: Any, planned: PlannedWeights) -> dict[str, Array]:
    """Replace every linear weight of the plan by its integers; the graph multiplies by the scales.

    ::

        Before:  Const W ─► Conv2D

        After:   Const q ──► Mul ─► Conv2D          W ≈ q · s, one s per output channel
                 Const s ─────┘

    TF.js stores a whole tensor with one scale and one offset: too coarse for networks with folded
    BatchNorm, whose channels differ a hundredfold (Krishnamoorthi 2018). With offset −128 and scale 1
    the integers −127..127 are exact.

    TF.js multiplies again in every run, which MobileNetV2 pays for with three quarters of its time. Where
    the products are fed like inputs, computed once by the model itself, they cost nothing: mlc's bindings
    and its runtime do so, and any app can. (An initializer graph would lose them in the first `tf.tidy`.)

    Edits `graph_def` in place. Returns the integers, int8, by the name of the constant.
    """
    found: dict[str, Array] = {}
    products: dict[str, str] = {}
    for node in [n for n in graph_def.node if n.op == "Const"]:
        values = _float_values(node)
        weight = planned.find(values) if values is not None else None
        if values is not None and weight is not None and weight.scheme == "linear":
            found[node.name] = quantize(values, weight)
            shape = [values.shape[i] if i in weight.axes else 1 for i in range(values.ndim)]
            scale = np.array(weight.scale, np.float32).reshape(shape)
            products[node.name] = _multiplied(graph_def, node, found[node.name], scale)
    for node in graph_def.node:
        if node.name not in products.values():
            for i, name in enumerate(node.input):
                node.input[i] = products.get(name, name)
    return found


def _float_values(node: Any) -> Array | None:
    from tensorflow import make_ndarray

    values = make_ndarray(node.attr["value"].tensor)
    return values if values.dtype == np.float32 and values.ndim >= 2 else None


def _multiplied(graph_def: Any, constant: Any, integers: Array, scale: Array) -> str:
    from tensorflow import make_tensor_proto

    constant.attr["value"].tensor.CopyFrom(make_tensor_proto(integers.astype(np.float32)))
    product = graph_def.node.add(name=constant.name + _PRODUCT, op="Mul")
    product.attr["T"].CopyFrom(constant.attr["dtype"])
    scales = graph_def.node.add(name=constant.name + _SCALES, op="Const")
    scales.attr["dtype"].CopyFrom(constant.attr["dtype"])
    scales.attr["value"].tensor.CopyFrom(make_tensor_proto(scale))
    product.input.extend([constant.name, scales.name])
    return str(product.name)
