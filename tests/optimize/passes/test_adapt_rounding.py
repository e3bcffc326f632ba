"""Weights rounded for what is computed with them, against weights rounded to the nearest."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.optimize.calibrate import second_moments
from mlc.optimize.optimize import Request, make_plan, optimize
from mlc.optimize.passes.adapt_rounding import adapt_rounding, adaptable
from mlc.optimize.recipe import named
from mlc.optimize.simulate import simulate
from tests.optimize.passes.graphs import SHAPE, constant, traced

Feeds = dict[str, Any]


def samples(seed: int, mean: float = 1) -> Iterator[Feeds]:
    """Pictures whose channels, and neighbours, are much alike."""
    rng = np.random.default_rng(seed)
    for _ in range(40):
        coarse = rng.normal(mean, 1, (1, 2, 2, 1)).repeat(4, 1).repeat(4, 2)
        yield {"x": (coarse + rng.normal(0, 0.3, SHAPE)).astype(np.float32)}


@cache
def network(padding: str = "SAME") -> Network:
    import tensorflow as tf

    rng = np.random.default_rng(0)  # of its own: what a pass gains must not depend on earlier tests

    def drawn(*shape: int) -> Any:
        return tf.constant(rng.uniform(-1, 1, shape).astype(np.float32))

    kernel = drawn(3, 3, 4, 64)
    depthwise, product = drawn(5, 5, 64, 2), drawn(128, 40)
    bias = drawn(64), drawn(128)
    kernel = tf.where(tf.abs(kernel) < 0.1, 0.0, kernel)

    def compute(x: Any) -> Any:
        x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, padding), bias[0]))
        x = tf.nn.depthwise_conv2d(x, depthwise, [1, 2, 2, 1], "VALID")
        x = tf.nn.relu(tf.nn.bias_add(x, bias[1]))
        return tf.matmul(tf.reduce_mean(x, [1, 2]), product)

    return traced(compute)


@pytest.mark.parametrize("recipe", ["w8", "w4", "w4-per-tensor", "w4-palette", "w3-uniform"])
def test_less_is_lost_and_every_format_can_hold_the_values(recipe: str) -> None:
    plan = make_plan(network(), Request(named(recipe)))
    assert len(plan.weights) == 3
    moments = second_moments(network(), plan, lambda: samples(1))
    assert [m.shape for m in moments.values()] == [(1, 36, 36), (64, 25, 25), (1, 128, 128)]
    program = Program.of(network())
    adapt_rounding(program, plan, moments)
    adapted = program.network(network())
    np.testing.assert_array_equal(outputs(simulate(adapted, plan)), outputs(adapted))
    nearest = error(simulate(network(), plan))
    assert error(adapted) < 0.5 * nearest, "a quarter of the power, on samples of another seed"


def test_what_is_zero_stays_zero() -> None:
    plan = make_plan(network(), Request(named("w4")))
    program = Program.of(network())
    adapt_rounding(program, plan, second_moments(network(), plan, lambda: samples(1)))
    name = plan.weights[0].name
    before, after = (b.constant_value(name) for b in (Program.of(network()).main, program.main))
    assert 0 < np.mean(before == 0) < 0.5
    assert not after[before == 0].any()


def test_convolutions_of_groups_and_transposed_ones_are_left_alone() -> None:
    import tensorflow as tf

    groups, transposed = constant(3, 3, 2, 64), constant(3, 3, 16, 64)

    def compute(x: Any) -> Any:
        x = tf.nn.conv2d(x, groups, 1, "SAME")
        return tf.nn.conv2d_transpose(x, transposed, [1, 16, 16, 16], 2)

    grouped = traced(compute)
    plan = make_plan(grouped, Request(named("w4")))
    assert [w.scheme for w in plan.weights] == ["linear"] * 2
    assert adaptable(Program.of(grouped).main, plan) == []


@pytest.mark.parametrize(
    ("recipe", "passes"), [("w8", ("correct_bias",)), ("w4", ("adapt_rounding",)), ("fp16", ())]
)
def test_it_is_tried_below_8_bits_where_biases_do_at_8(
    recipe: str, passes: tuple[str, ...], tmp_path: Path
) -> None:
    """Inputs whose mean is most of them: what their rounding loses is the same for all."""
    request = Request(named(recipe), lambda: samples(1, mean=8))
    plan, steps = optimize(tmp_path, network("VALID"), request)
    assert plan.passes == passes
    assert [step.name for step in steps if step.gain] == list(passes)


def outputs(of: Network) -> Any:
    reference = Reference(of)
    return np.concatenate([reference.run(feeds)["y"] for feeds in samples(2)])


def error(of: Network) -> float:
    """Root of the mean squared difference from the network."""
    return float(np.sqrt(np.mean((outputs(of) - outputs(network())) ** 2)))
