"""One file per family of MIL ops, after coremltools' own folders. Importing this registers them all."""

from mlc.targets.coreml.evaluator.ops import (
    activation,
    control_flow,
    conv,
    elementwise_binary,
    elementwise_unary,
    image_resizing,
    linear,
    normalization,
    pool,
    quantization,
    recurrent,
    reduction,
    scatter_gather,
    tensor_operation,
    tensor_transformation,
)

__all__ = [
    "activation",
    "control_flow",
    "conv",
    "elementwise_binary",
    "elementwise_unary",
    "image_resizing",
    "linear",
    "normalization",
    "pool",
    "quantization",
    "recurrent",
    "reduction",
    "scatter_gather",
    "tensor_operation",
    "tensor_transformation",
]
