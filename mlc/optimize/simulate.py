"""Network and plan → a float network that computes what the plan means, rounding included."""

from __future__ import annotations

from mlc.convert.graph import Body, Program
from mlc.convert.network import Network
from mlc.optimize.plan import Activation, Plan
from mlc.optimize.rounding import rounded

__all__ = ["simulate"]


def simulate(network: Network, plan: Plan) -> Network:
    """Round every weight to its grid or palette, and put a FakeQuant behind every integer activation.

    ::

        Before:  x ─► Conv2D(w) ─► BiasAdd ─► Relu ─► y

        After:   x ─► Conv2D(scale·⌊w/scale⌉) ─► BiasAdd ─► Relu ─► FakeQuantWithMinMaxArgs ─► y

    Quantization as arithmetic in float32 (Jacob et al. 2018, section 3): integer kernels differ from it
    only in how they round sums.
    """
    program = Program.of(network)
    body = program.main
    for weight in plan.weights:
        if weight.scheme != "float":
            values = body.constant_value(weight.name)
            body.set_constant(weight.name, rounded(values, weight, plan.recipe))
    for activation in plan.activation.values():
        _round(body, activation)
    return program.network(network)


def _round(body: Body, activation: Activation) -> None:
    lowest = -(2 ** (activation.bits - 1))
    ends = (lowest, -lowest - 1)
    low, high = (activation.scale * (q - activation.zero_point) for q in ends)
    node = body.insert_after(activation.name, "FakeQuantWithMinMaxArgs")
    node.attr["min"].f, node.attr["max"].f = low, high
    node.attr["num_bits"].i = activation.bits
