"""Passes that are kept only where they help, judged by simulation: equalization, rounding, biases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from mlc.convert.execute import Reference
from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.optimize.calibrate import Samples, calibrate, channel_means, second_moments
from mlc.optimize.passes.adapt_rounding import adapt_rounding
from mlc.optimize.passes.correct_bias import correct_bias
from mlc.optimize.passes.equalize import equalize
from mlc.optimize.passes.linear import linears
from mlc.optimize.passes.relu6_to_relu import relu6_to_relu
from mlc.optimize.plan import Plan
from mlc.optimize.simulate import simulate

__all__ = ["Outputs", "adapted", "corrected", "equalized", "few", "outputs", "signal_to_noise"]

Array = np.ndarray[Any, np.dtype[Any]]
Outputs = Sequence[Mapping[str, Array]]

_FEW = 32  # samples that tell whether a pass helps


def equalized(network: Network, samples: Samples) -> Network:
    """The network with its channels equalized, as far as they may be scaled; see `equalize`."""
    program = Program.of(network)
    clipped = [node.name for node in program.main.find("Relu6")]
    if clipped:
        seen, _ = calibrate(network, clipped, samples, "min-max")
        relu6_to_relu(program, {name: histogram.high for name, histogram in seen.items()})
    equalize(program)
    return program.network(network)


def adapted(network: Network, plan: Plan, samples: Samples) -> Network:
    """The network with weights as the plan stores them, rounded with care; see `adapt_rounding`."""
    program = Program.of(network)
    adapt_rounding(program, plan, second_moments(network, plan, samples))
    return program.network(network)


def corrected(network: Network, plan: Plan, samples: Samples) -> Network:
    """The network with the biases that its rounded weights need; see `correct_bias`."""
    program = Program.of(network)
    means = channel_means(network, sorted({op.data for op in linears(program.main)}), samples)
    correct_bias(program, plan, means)
    return program.network(network)


def signal_to_noise(network: Network, plan: Plan, original: Outputs, samples: Samples) -> float:
    """SQNR in dB of the simulated plan against the outputs of the original on the same samples."""
    signal = noise = 0.0
    simulated = outputs(simulate(network, plan), samples())
    for expected, got in zip(original, simulated, strict=True):
        for name, reference in expected.items():
            wide = reference.astype(np.float64)
            signal += float((wide**2).sum())
            noise += float(((got[name] - wide) ** 2).sum())
    return float(10 * np.log10(max(signal, 1e-300) / max(noise, 1e-300)))


def outputs(network: Network, feeds: Iterable[Mapping[str, Any]]) -> Outputs:
    """What the network answers to each batch."""
    reference = Reference(network)
    return [reference.run(batch) for batch in feeds]


def few(samples: Samples) -> Samples:
    """The first of them, read once."""
    kept = list(islice(samples(), _FEW))
    return lambda: kept
