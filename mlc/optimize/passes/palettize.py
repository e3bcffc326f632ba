"""Weights that the plan palettizes → the values of their palettes."""

from __future__ import annotations

from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.optimize.plan import Plan
from mlc.optimize.rounding import rounded

__all__ = ["palettize"]


def palettize(network: Network, plan: Plan) -> Network:
    """The network with each weight at the value that its index stands for, in float32.

    So a format without palettes computes what one with palettes does. A plan without any changes nothing.
    """
    rows = [weight for weight in plan.weights if weight.scheme == "palette"]
    if not rows:
        return network
    program = Program.of(network)
    for row in rows:
        values = program.main.constant_value(row.name)
        program.main.set_constant(row.name, rounded(values, row, plan.recipe))
    return program.network(network)
