"""Quantization-aware training: the network learns to answer well although it is rounded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.data.dataset import batch_size
from mlc.errors import UsageError
from mlc.optimize.decide import decide_weights
from mlc.optimize.optimize import Request, make_plan
from mlc.optimize.plan import Plan
from mlc.optimize.ranges import Estimator
from mlc.optimize.recipe import Recipe
from mlc.optimize.training.examples import Examples
from mlc.optimize.training.rounded import Rounded, Scale, round_activations, with_scales
from mlc.optimize.training.student import Keep, Student

__all__ = ["Quantize"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Quantize:
    """Train with what the plan means: weights and activations on the grids of their integers.

    Ranges of activations start as calibrated. Their scales are trained too, zero points stay: what finer
    steps gain and clipping loses, the gradient weighs (Esser et al. 2020; Jain et al. 2020).
    """

    recipe: Recipe
    estimator: Estimator = "min-max"
    calibration_samples: int = 200
    keep: Keep = field(default_factory=Keep)

    @property
    def title(self) -> str:
        """With the recipe."""
        return f"train for {self.recipe.name}"

    @property
    def learning_rate(self) -> float:
        """Of Adam, at the start: coarse grids need larger steps to be left."""
        return 5e-4 if self.recipe.weight_bits < 8 else 1e-4

    @property
    def labels(self) -> float:
        """None: rounding is small, and nothing tells better than the teacher what it changes."""
        return 0.0

    def begin(self, network: Network, examples: Examples) -> Student:
        """What post-training quantization would give: the start to improve on."""

        def samples() -> Iterable[Mapping[str, Array]]:
            return examples.feeds(self.calibration_samples, batch_size(network))

        plan = make_plan(network, Request(self.recipe, samples, self.estimator))
        program = Program.of(network)
        parameters = self.keep.parameters(program.main)
        rounded = [w for w in plan.weights if w.scheme == "linear" and w.name in parameters]
        if not rounded:
            raise UsageError(
                "There is nothing to train for: no weight becomes an integer.",
                "Build without --qat.",
            )
        for weight in rounded:
            parameters[weight.name] = Rounded(parameters[weight.name], weight)
        scales = round_activations(program.main, plan)
        for constant in scales.values():
            parameters[constant] = Scale(program.main.constant_value(constant))

        def planned(trained: Network, values: Mapping[str, Array]) -> Plan:
            weights = decide_weights(Program.of(trained).main, self.recipe)
            return replace(with_scales(plan, scales, values), weights=weights)

        return Student(network, parameters, run_as=program.network(network), planned=planned)
