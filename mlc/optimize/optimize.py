"""The stage between source and targets: passes, calibration, plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.errors import UsageError
from mlc.optimize.calibrate import Samples, calibrate
from mlc.optimize.decide import activation_points, decide_activations, decide_weights
from mlc.optimize.passes import PIPELINE
from mlc.optimize.plan import Plan
from mlc.optimize.ranges import Estimator
from mlc.optimize.recipe import Recipe
from mlc.optimize.tune import Outputs, adapted, corrected, equalized, few, outputs, signal_to_noise

__all__ = ["Optimized", "Request", "Step", "make_plan", "optimize", "simplify"]


_WORTHWHILE = 3.0  # dB that a pass must add to be kept: less is the luck of the samples


@dataclass(frozen=True)
class Step:
    """What one pass did: ops (constants not counted) before and after.

    `change` is the largest difference of any output value from the network as it was read, relative to
    the span of that output; None where it was not measured. `gain` is what a pass that is kept only where
    it helps adds to the SQNR of the simulated plan, in dB.
    """

    name: str
    before: int
    after: int
    change: float | None = None
    gain: float | None = None


@dataclass(frozen=True)
class Request:
    """What the stage is asked for.

    `samples` calibrate; without them no activation becomes an integer. `explain_on` are run after every
    pass. `plan` repeats the decisions of an earlier build. `clustered` weights have few different values:
    no channel is scaled and no weight rounded by itself, which would make them many.
    """

    recipe: Recipe
    samples: Samples | None = None
    estimator: Estimator = "min-max"
    explain_on: Samples | None = None
    plan: Plan | None = None
    clustered: bool = False


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
    tuned, plan, more = _tune(simpler, plan, request)
    tuned.save(folder)
    return plan, (*steps, *more)


def simplify(
    network: Network, explained: Samples | None = None
) -> tuple[Network, tuple[Step, ...]]:
    """The same function of the inputs in fewer ops, and what each pass did.

    With samples to explain on, the network is run on all of them after every pass.
    """
    program = Program.of(network)
    feeds = list(explained()) if explained else []
    original = outputs(network, feeds) if feeds else []
    steps = []
    for rewrite in PIPELINE:
        before = _count(program)
        rewrite(program)
        change = None
        if feeds:
            result = program.network(network)
            change = _change(original, outputs(result, feeds))
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


def _tune(network: Network, plan: Plan, request: Request) -> tuple[Network, Plan, tuple[Step, ...]]:
    """Try the passes that may help this plan; a plan that is repeated says which ones did."""
    if request.samples is None or all(w.scheme == "float" for w in plan.weights):
        if plan.passes:
            raise UsageError(
                f"The plan was made for a network after {' and '.join(plan.passes)}, which need data.",
                "Give the data that it was made with.",
            )
        return network, plan, ()
    chosen: list[str] = []
    steps: list[Step] = []
    samples = few(request.samples)
    original = outputs(network, samples())

    def keep(name: str, tried: Network, tried_plan: Plan) -> bool:
        if tried.graph == network.graph:
            return False
        gains = [
            signal_to_noise(tried, after, original, samples)
            - signal_to_noise(network, before, original, samples)
            for before, after in _computed(name, plan, tried_plan)
        ]
        worthwhile = min(gains) > 0 and max(gains) > _WORTHWHILE
        helps = name in plan.passes if request.plan else worthwhile
        if helps:
            count = _count(Program.of(tried))
            change = _change(original, outputs(tried, samples()))
            steps.append(Step(name, count, count, change, gain=max(gains)))
            chosen.append(name)
        return helps

    linear = any(w.scheme == "linear" for w in plan.weights)
    if (plan.calibrated or linear) and not request.clustered:
        tried = equalized(network, samples)
        if tried.graph != network.graph:
            again = request.plan or make_plan(tried, replace(request, samples=samples))
            if keep("equalize", tried, again):
                network = tried
                plan = request.plan or make_plan(network, request)
    coarse = any(w.scheme != "float" and w.bits < 8 for w in plan.weights)
    if coarse and not request.clustered:
        tried = adapted(network, plan, request.samples)
        if keep("adapt_rounding", tried, plan):
            network = tried
    tried = corrected(network, plan, samples)
    if keep("correct_bias", tried, plan):
        network = tried
    return network, replace(plan, passes=tuple(chosen)), tuple(steps)


def _computed(name: str, plan: Plan, tried: Plan) -> list[tuple[Plan, Plan]]:
    """As what a pass is judged: as planned, and with float activations where it repairs the weights.

    Half of the formats compute with those. Beside the noise of integer activations less of a repaired
    bias is seen.
    """
    judged = [(plan, tried)]
    if name == "correct_bias" and plan.calibrated:
        judged.append((replace(plan, activations=()), replace(tried, activations=())))
    return judged


def _count(program: Program) -> int:
    return sum(node.op != "Const" for body in program.bodies() for node in body.nodes.values())


def _change(original: Outputs, now: Outputs) -> float:
    """Largest difference relative to the span of its output."""
    worst = 0.0
    for name in original[0]:
        before = np.concatenate([np.ravel(o[name]) for o in original]).astype(np.float64)
        after = np.concatenate([np.ravel(o[name]) for o in now]).astype(np.float64)
        span = float(np.ptp(before)) or 1.0
        worst = max(worst, float(np.abs(after - before).max()) / span)
    return worst
