"""One file per family of MIL ops, after coremltools' own folders. Importing this registers them all."""

import importlib

__all__ = ["FAMILIES"]

FAMILIES = (
    "activation",
    "control_flow",
    "conv",
    "detection",
    "elementwise_binary",
    "elementwise_unary",
    "image_resizing",
    "image_sampling",
    "linear",
    "normalization",
    "pool",
    "quantization",
    "recurrent",
    "reduction",
    "scatter_gather",
    "tensor_operation",
    "tensor_transformation",
)

for _family in FAMILIES:
    importlib.import_module(f"{__name__}.{_family}")
