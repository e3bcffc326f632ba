"""Operations that tf2onnx does not know, in those that ONNX has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["HANDLERS"]


def _erfc(context: Any, node: Any, name: str, arguments: Any) -> None:
    """`Erfc(x) = 1 - Erf(x)`, which Keras' exact gelu uses."""
    _minus_one(context, node, "Erf", one_minus=True)


def _expm1(context: Any, node: Any, name: str, arguments: Any) -> None:
    """`Expm1(x) = Exp(x) - 1`."""
    _minus_one(context, node, "Exp", one_minus=False)


def _minus_one(context: Any, node: Any, kind: str, one_minus: bool) -> None:
    import numpy as np
    from tf2onnx import utils

    dtype = utils.map_onnx_to_numpy_type(context.get_dtype(node.output[0]))
    one = context.make_const(utils.make_name("one"), np.ones((), dtype)).output[0]
    shapes, dtypes, source = node.output_shapes, node.output_dtypes, node.input[0]
    context.remove_node(node.name)
    value = context.make_node(kind, [source]).output[0]
    context.make_node(
        "Sub",
        [one, value] if one_minus else [value, one],
        name=node.name,
        outputs=node.output,
        shapes=shapes,
        dtypes=dtypes,
    )


# TensorFlow's name -> what tf2onnx calls with (graph, node, name, arguments)
HANDLERS: dict[str, Callable[[Any, Any, str, Any], None]] = {"Erfc": _erfc, "Expm1": _expm1}
