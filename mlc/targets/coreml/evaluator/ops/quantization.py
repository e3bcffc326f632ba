"""MIL `quantization_ops` of iOS 17, on activations (and on weights stored that way).

Written out in float32 arithmetic instead of ONNX's QuantizeLinear and DequantizeLinear: those would
invite onnxruntime to fuse whole layers into integer kernels, whose results differ (and saturate on
some processors).
"""

from __future__ import annotations

import numpy as np

from mlc.targets.coreml.evaluator.lowering import Call, Graph, lowers

__all__: list[str] = []


def _spread(graph: Graph, op: Call, parameter: str) -> str:
    """A scale or zero point, scalar or one per element of `axis`, as a float that broadcasts."""
    values = np.asarray(op.constant(parameter)).astype(np.float32)
    if values.ndim:
        rank = op["input"].type.rank
        shape = [1] * rank
        shape[op.axis("axis", rank)] = -1
        values = values.reshape(shape)
    return graph.constant(values)


@lowers("quantize", "input", "scale", "output_dtype", zero_point=None, axis=None, exact=True)
def quantize(graph: Graph, op: Call) -> str:
    """clip(round(input / scale) + zero_point) to the range of int8 or uint8, ties going to even."""
    limits = {"int8": (-128, 127), "uint8": (0, 255)}.get(op.result.dtype)
    if limits is None or op.text("output_dtype") != op.result.dtype:
        raise op.unsupported("output_dtype", op.text("output_dtype"))
    steps = graph.node("Round", graph.node("Div", op.tensor("input"), _spread(graph, op, "scale")))
    if "zero_point" in op:
        steps = graph.node("Add", steps, _spread(graph, op, "zero_point"))
    low, high = (graph.constant(np.float32(limit)) for limit in limits)
    if np.asarray(op.constant("scale")).ndim == 0:
        op.irrelevant("axis")
    return graph.cast(graph.node("Clip", steps, low, high), "int32")


@lowers("dequantize", "input", "scale", zero_point=None, axis=None)
def dequantize(graph: Graph, op: Call) -> str:
    """Gives scale · (input - zero_point)."""
    real = graph.cast(op.tensor("input"), "float32")
    if "zero_point" in op:
        real = graph.node("Sub", real, _spread(graph, op, "zero_point"))
    if np.asarray(op.constant("scale")).ndim == 0:
        op.irrelevant("axis")
    return graph.node("Mul", real, _spread(graph, op, "scale"))
