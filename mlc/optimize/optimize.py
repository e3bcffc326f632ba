"""The stage between source and targets: passes, calibration, plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlc.convert.execute import Reference
from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.errors import UsageError
from mlc.optimize.calibrate import Samples, calibrate
from mlc.optimize.decide import activation_points, decide_activations, decide_weights
from mlc.optimize.passes import PIPELINE
from mlc.optimize.plan import Plan
from mlc.optimize.ranges import Estimator
from mlc.optimize.recipe import Recipe

__all__ = ["Optimized", "Request", "Step", "make_plan", "optimize", "simplify"]


@dataclass(frozen=True)
class Step:
    """What one pass did: ops (constants not counted) before and after.

    `change` is the largest difference of any output value from the network as it was read, relative to
    the span of that output; None where it was not measured.
    """

    name: str
    before: int
    after: int
    change: float | None = None


@dataclass(frozen=True)
class Request:
    """What the stage is asked for.

    `samples` calibrate; without them no activation becomes an integer. `explain_on` are run after every
    pass. `plan` repeats the decisions of an earlier build.
    """

    recipe: Recipe
    samples: Samples | None = None
    estimator: Estimator = "min-max"
    explain_on: Samples | None = None
    plan: Plan | None = None


@dataclass(frozen=True)
class Optimized:
    """The network that targets write, what it becomes there, and how it came about."""

    network: Network
    plan: Plan
    steps: tuple[Step, ...]


def optimize(folder: Path, network: Network, request: Request) -> tuple[Plan, tuple[Step, ...]]:
    """A stage: simplify the network into `folder`, and plan what each tensor becomes."""
    simpler, steps = simplify(network, request.explain_on)
    plan = request.plan or make_plan(simpler, request)
    check_plan(plan, simpler)
    simpler.save(folder)
    return plan, steps


def simplify(
    network: Network, explained: Samples | None = None
) -> tuple[Network, tuple[Step, ...]]:
    """The same function of the inputs in fewer ops, and what each pass did.

    With samples to explain on, the network is run on all of them after every pass.
    """
    program = Program.of(network)
    feeds = list(explained()) if explained else []
    original = _outputs(network, feeds)
    steps = []
    for rewrite in PIPELINE:
        before = _count(program)
        rewrite(program)
        change = None
        if feeds:
            result = program.network(network)
            change = _change(original, _outputs(result, feeds))
        steps.append(Step(rewrite.__name__, before, _count(program), change))
    return program.network(network), tuple(steps)


def make_plan(network: Network, request: Request) -> Plan:
    """Decide what each tensor of a simplified network becomes."""
    recipe = request.recipe
    body = Program.of(network).main
    weights = decide_weights(body, recipe)
    if not recipe.integer_activations or request.samples is None:
        return Plan(recipe, weights)
    points = activation_points(body)
    histograms, count = calibrate(network, points, request.samples, request.estimator)
    activations = decide_activations(body, recipe, histograms, request.estimator)
    return Plan(recipe, weights, activations, f"{request.estimator} of {count} samples")


def check_plan(plan: Plan, network: Network) -> None:
    """Raise `UsageError` where a plan names tensors that the network does not have."""
    nodes = Program.of(network).main.nodes
    names = [*(w.name for w in plan.weights), *(a.name for a in plan.activations)]
    unknown = [name for name in names if name not in nodes]
    if unknown:
        raise UsageError(
            f"The plan was made for another network: this one has no tensor {unknown[0]!r}.",
            "Build without --plan, or with the plan of this network.",
        )


def _count(program: Program) -> int:
    return sum(node.op != "Const" for body in program.bodies() for node in body.nodes.values())


Outputs = Sequence[Mapping[str, np.ndarray[Any, Any]]]


def _outputs(network: Network, feeds: Sequence[Mapping[str, Any]]) -> Outputs:
    reference = Reference(network) if feeds else None
    return [reference.run(f) for f in feeds] if reference else []


def _change(original: Outputs, now: Outputs) -> float:
    """Largest difference relative to the span of its output."""
    worst = 0.0
    for name in original[0]:
        before = np.concatenate([np.ravel(o[name]) for o in original]).astype(np.float64)
        after = np.concatenate([np.ravel(o[name]) for o in now]).astype(np.float64)
        span = float(np.ptp(before)) or 1.0
        worst = max(worst, float(np.abs(after - before).max()) / span)
    return worst
