"""8-bit weights, and the check that they still are the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from mlc.targets.coreml.quiet import quiet

__all__ = ["quantize_weights", "remarks", "weight_errors"]

# The ops whose constants are weights. Constants of others (a factor, a table of positions) are few, and
# one scale for all of such a tensor would be coarse.
_WEIGHTED = ("conv", "conv_transpose", "linear", "matmul", "gather", "lstm", "gru", "rnn")
# Fewer elements are not worth a scale per channel.
_FEWEST = 32
# 8 bits with a scale per channel give about 40 dB; a tenth of the signal in noise is a wrong tensor.
_LOWEST_SQNR = 20.0


def quantize_weights(model: Any) -> tuple[Any, dict[str, float]]:
    """Replace the float16 weights by int8, symmetric, with a scale per output channel.

    Returns the new model, and what `weight_errors` finds in it.
    """
    with quiet():
        from coremltools.optimize.coreml import (
            OpLinearQuantizerConfig,
            OptimizationConfig,
            linear_quantize_weights,
        )

        config = OpLinearQuantizerConfig(
            mode="linear_symmetric",
            dtype="int8",
            granularity="per_channel",
            weight_threshold=_FEWEST,
        )
        configs = OptimizationConfig(op_type_configs=dict.fromkeys(_WEIGHTED, config))
        quantized = linear_quantize_weights(model, configs)
    return quantized, weight_errors(model, quantized)


def weight_errors(model: Any, compressed: Any) -> dict[str, float]:
    """SQNR in dB of every compressed weight, decoded, against the constant that it replaced."""
    constants = {
        op.outputs[0].name: op.outputs[0] for op in _operations(model) if op.op_type == "const"
    }
    found = {}
    for op in _operations(compressed):
        name = op.outputs[0].name.removesuffix("_quantized")
        if op.op_type.startswith("constexpr_") and name in constants:
            before = constants[name].val.astype(np.float64)
            noise = op.materialized_val_inference().astype(np.float64) - before
            found[name] = _decibels(np.sum(before**2), np.sum(noise**2))
    return found


def remarks(errors: dict[str, float]) -> list[str]:
    """A sentence for the user when a tensor came out badly."""
    bad = {name: value for name, value in errors.items() if not value >= _LOWEST_SQNR}
    if not bad:
        return []
    worst = min(bad, key=lambda name: bad[name])
    return [
        f"{len(bad)} of {len(errors)} quantized weights are below {_LOWEST_SQNR:.0f} dB SQNR, "
        f"the worst is {worst} with {bad[worst]:.1f} dB."
    ]


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def _operations(model: Any) -> Iterator[Any]:
    """Every operation of coremltools' own program, those inside loops and branches too."""

    def visit(block: Any) -> Iterator[Any]:
        for op in block.operations:
            yield op
            for inner in op.blocks:
                yield from visit(inner)

    for function in model._mil_program.functions.values():
        yield from visit(function)
