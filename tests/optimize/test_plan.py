"""Plans: what they decide, that they survive a file, and what rounding by them means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.convert.execute import Reference
from mlc.convert.network import Network
from mlc.data.dataset import Calibration, batches
from mlc.data.synthesized import synthesize
from mlc.errors import UsageError
from mlc.optimize.optimize import Request, make_plan, optimize, simplify
from mlc.optimize.plan import Plan, Weight, dequantize, quantize, read_plan, write_plan
from mlc.optimize.ranges import ESTIMATORS, Estimator
from mlc.optimize.recipe import EXAMPLES, named
from mlc.optimize.simulate import simulate
from mlc.optimize.tune import outputs, signal_to_noise
from tests.optimize.passes.graphs import traced


def planned(
    network: Network, recipe: str, samples: int = 8, estimator: Estimator = "min-max"
) -> tuple[Network, Plan]:
    simpler, _ = simplify(network)
    calibration = Calibration(synthesize(network, samples), network, samples)
    return simpler, make_plan(simpler, Request(named(recipe), calibration, estimator))


def test_every_kernel_and_every_stored_activation_has_a_row(frozen: Callable[..., Network]) -> None:
    _, plan = planned(frozen("cnn"), "int8")
    assert [w.op for w in plan.weights] == [
        "Conv2D", "DepthwiseConv2dNative", "Conv2D", "Conv2D", "MatMul",
    ]  # fmt: skip
    assert [len(w.scale) for w in plan.weights] == [8, 8, 8, 160, 5]
    assert plan.activation["image"].bits == 8
    softmax = plan.activations[-1]
    assert softmax.scale == 0
    assert "too coarse" in softmax.reason
    assert plan.ranges == "min-max of 8 samples"


def test_without_samples_no_activation_is_guessed(frozen: Callable[..., Network]) -> None:
    simpler, _ = simplify(frozen("cnn"))
    plan = make_plan(simpler, Request(named("int8")))
    assert plan.weights
    assert not plan.activations
    assert not plan.calibrated


@pytest.mark.parametrize("recipe", EXAMPLES)
def test_a_plan_survives_its_file(
    recipe: str, frozen: Callable[..., Network], tmp_path: Path
) -> None:
    _, plan = planned(frozen("cnn"), recipe)
    check_that_it_survives(plan, tmp_path)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_ranges_survive_the_file_of_a_plan(
    estimator: Estimator, frozen: Callable[..., Network], tmp_path: Path
) -> None:
    """To the last bit: scales of biases are products of these, and would differ otherwise."""
    _, plan = planned(frozen("cnn"), "int8", estimator=estimator)
    check_that_it_survives(plan, tmp_path)


def check_that_it_survives(plan: Plan, folder: Path) -> None:
    write_plan(plan, folder / "plan.json")
    again = read_plan(folder / "plan.json")
    assert again == plan
    write_plan(again, folder / "again.json")
    assert (folder / "again.json").read_bytes() == (folder / "plan.json").read_bytes()


@pytest.mark.parametrize("text", ["", "{}", '{"format": 99}', '{"format": 1, "recipe": "int8"}'])
def test_what_is_no_plan_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(UsageError, match="is not a plan of mlc"):
        read_plan(tmp_path / "plan.json")


def test_a_plan_of_another_network_is_refused(
    frozen: Callable[..., Network], tmp_path: Path
) -> None:
    _, plan = planned(frozen("cnn"), "int8")
    with pytest.raises(UsageError, match="made for another network"):
        optimize(tmp_path, frozen("two_in_two_out"), Request(named("int8"), plan=plan))


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40), st.sampled_from([4, 8]))
def test_rounding_is_never_off_by_more_than_half_a_step(values: list[float], bits: int) -> None:
    array = np.float32(values)
    step = np.float32(max(np.abs(array).max(), 1e-6) / (2 ** (bits - 1) - 1))
    weight = Weight("w", "MatMul", "linear", bits, (), (float(step),))
    error = np.abs(dequantize(quantize(array, weight), weight) - array)
    assert (error <= step * (0.5 + 1e-3)).all()


@pytest.mark.parametrize(
    ("name", "recipe", "decibels"),
    [("cnn", "int8", 25), ("cnn", "w8a16", 30), ("two_in_two_out", "int8", 25), ("cnn", "w4", 5)],
)
def test_the_simulated_plan_is_near_the_network(
    name: str, recipe: str, decibels: float, frozen: Callable[..., Network]
) -> None:
    network, plan = planned(frozen(name), recipe)
    exact, rounded = Reference(network), Reference(simulate(network, plan))
    signal = noise = 0.0
    for feeds, _ in batches(synthesize(network, 8), network):
        for output, wanted in exact.run(feeds).items():
            signal += float((wanted**2).sum())
            noise += float(((rounded.run(feeds)[output] - wanted) ** 2).sum())
    assert noise > 0
    assert 10 * np.log10(signal / noise) > decibels


def test_a_badly_scaled_network_is_equalized_and_the_plan_says_so(
    frozen: Callable[..., Network], tmp_path: Path
) -> None:
    network = frozen("uneven")
    samples = Calibration(synthesize(network, 16), network, 16)
    plan, steps = optimize(tmp_path, network, Request(named("w8a8-per-tensor"), samples))
    assert plan.passes == ("equalize",)
    with pytest.raises(UsageError, match="after equalize, which need data"):
        optimize(tmp_path, network, Request(plan.recipe, plan=plan))
    (kept,) = [s for s in steps if s.name == "equalize"]
    assert kept.gain is not None
    assert kept.gain > 10
    assert kept.change is not None
    assert kept.change < 1e-4


def test_biases_are_corrected_for_the_formats_that_compute_in_float_too(tmp_path: Path) -> None:
    """An outlier makes the integer activations so coarse that beside them little of it is seen."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    inputs = rng.normal(10, 1, (32, 1, 256)).astype(np.float32)
    inputs[:, :, 0] = 100

    def layer(x: Any) -> Any:
        weights = rng.uniform(-1, 1, (256, 64)).astype(np.float32)
        weights[0] = 0
        return tf.nn.bias_add(tf.matmul(x, tf.constant(weights)), tf.zeros(64))

    network = traced(layer, (1, 256))
    plan, steps = optimize(
        tmp_path, network, Request(named("int8"), lambda: [{"x": x} for x in inputs])
    )
    assert plan.passes == ("correct_bias",)
    (kept,) = [step for step in steps if step.name == "correct_bias"]
    corrected = Network.load(tmp_path)
    original = outputs(network, [{"x": x} for x in inputs])

    def gain(plan: Plan) -> float:
        of = [
            signal_to_noise(one, plan, original, lambda: [{"x": x} for x in inputs])
            for one in (network, corrected)
        ]
        return of[1] - of[0]

    assert 0 < gain(plan) < 3 < gain(replace(plan, activations=())) == kept.gain


@pytest.mark.parametrize("name", ["int9", "w5", "w8-tensor", "w5-palette", "w8a4", "", "W8"])
def test_a_recipe_that_breaks_the_rule_is_told(name: str) -> None:
    with pytest.raises(UsageError, match="There is no recipe"):
        named(name)
