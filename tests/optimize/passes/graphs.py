"""Small graphs written op by op, for passes that look for patterns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlc.convert.execute import Reference
from mlc.convert.freeze import freeze
from mlc.convert.graph import Program
from mlc.convert.network import Description, Network, Provenance, TensorSpec

SHAPE = (1, 8, 8, 4)
RNG = np.random.default_rng()  # tests/optimize/conftest.py starts it anew for each test


def constant(*shape: int, low: float = -1, high: float = 1) -> Any:
    import tensorflow as tf

    return tf.constant(RNG.uniform(low, high, shape).astype(np.float32))


def traced(function: Callable[[Any], Any], shape: tuple[int, ...] = SHAPE) -> Network:
    """The network x → y of a TensorFlow function."""
    return freeze(
        lambda feeds: {"y": function(feeds["x"])},
        [TensorSpec("x", shape, "float32")],
        Provenance("x", "test", "0" * 64),
        Description("test"),
    )


def rewritten(network: Network, *passes: Callable[[Program], None]) -> Network:
    program = Program.of(network)
    for rewrite in passes:
        rewrite(program)
    return program.network(network)


def ops(network: Network) -> list[str]:
    """Kinds of op in order, without constants, input and output."""
    body = Program.of(network).main
    outer = ("Const", "Placeholder", "Identity")
    return [node.op for node in body.in_order() if node.op not in outer]


def difference(a: Network, b: Network, shape: tuple[int, ...] = SHAPE) -> float:
    """Largest difference of outputs on two inputs, relative to the largest output."""
    worst = 0.0
    for seed in range(2):
        x = {"x": np.random.default_rng(seed).normal(size=shape).astype(np.float32) * 3}
        left, right = Reference(a).run(x)["y"], Reference(b).run(x)["y"]
        worst = max(worst, float(np.abs(left - right).max() / np.abs(left).max()))
    return worst
