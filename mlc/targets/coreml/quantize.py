"""8-bit weights, and the check that they still are the weights."""

from __future__ import annotations

from typing import Any

from mlc.targets.coreml.quiet import quiet

__all__ = ["quantize_weights"]


def quantize_weights(model: Any) -> tuple[Any, list[str]]:
    """Replace every large float16 constant by int8, symmetric, with a scale per output channel."""
    with quiet():
        from coremltools.optimize.coreml import (
            OpLinearQuantizerConfig,
            OptimizationConfig,
            linear_quantize_weights,
        )

        config = OpLinearQuantizerConfig(
            mode="linear_symmetric", dtype="int8", granularity="per_channel", weight_threshold=512
        )
        return linear_quantize_weights(model, OptimizationConfig(global_config=config)), []
