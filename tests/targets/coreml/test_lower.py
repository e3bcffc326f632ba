"""What the plan says, in the package: the same integers, the same scales, executed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.network import Network
from mlc.data.dataset import Calibration
from mlc.data.synthesized import synthesize
from mlc.optimize.optimize import Request, make_plan, simplify
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import named
from mlc.optimize.simulate import simulate
from mlc.store import tree_digest
from mlc.targets import coreml
from mlc.targets.coreml.evaluator.program import load
from mlc.targets.target import Emission, Options

Freeze = Callable[..., Network]
Lower = Callable[[str, str, int], "Lowered"]


class Lowered:
    """A package, the plan it follows, and the network that it was made of."""

    def __init__(self, network: Network, plan: Plan, emission: Emission) -> None:
        self.network, self.plan, self.emission = network, plan, emission
        self.ops = load(emission.path).block.ops

    def kinds(self, *names: str) -> list[Any]:
        return [op for op in self.ops if op.kind in names]

    def snr_against(self, network: Network) -> float:
        """In dB, of the package's answers to made-up inputs against another network's."""
        feeds = list(Calibration(synthesize(network, 12), network, 12)())
        reference = Reference(network)
        signal = noise = 0.0
        with closing(coreml.open(self.emission.path)) as runtime:
            for batch in feeds:
                found, wanted = runtime.run(batch), reference.run(batch)
                for name in wanted:
                    signal += float((wanted[name].astype(np.float64) ** 2).sum())
                    noise += float(((found[name] - wanted[name]).astype(np.float64) ** 2).sum())
        return float(10 * np.log10(signal / noise))


@pytest.fixture(scope="module")
def lower(frozen: Freeze, tmp_path_factory: pytest.TempPathFactory) -> Lower:
    @cache
    def build(name: str, recipe: str, ios: int) -> Lowered:
        network, _ = simplify(frozen(name))
        samples = Calibration(synthesize(network, 16), network, 16)
        plan = make_plan(network, Request(named(recipe), samples))
        path = tmp_path_factory.mktemp("lower") / "m.mlpackage"
        return Lowered(network, plan, coreml.emit(network, plan, None, Options(ios=ios), path))

    return build


@pytest.mark.parametrize("ios", [17, 18])
def test_activations_have_the_plans_scales_and_zero_points(ios: int, lower: Lower) -> None:
    made = lower("cnn", "int8", ios)
    assert (made.emission.weights, made.emission.activations) == ("int8", "int8")
    grids = {
        (float(op.parameters["scale"][0].constant), int(op.parameters["zero_point"][0].constant))
        for op in made.kinds("quantize")
    }
    assert grids == {(a.scale, a.zero_point) for a in made.plan.activation.values()}
    assert len(made.kinds("quantize")) == len(made.kinds("dequantize"))
    (softmax,) = made.kinds("softmax")
    assert softmax.parameters["x"][0].op.kind == "dequantize"
    assert not any(op.kind == "quantize" and op.parameters["input"][0].op is softmax
                   for op in made.ops)  # fmt: skip


@pytest.mark.parametrize("name", ["cnn", "unet", "two_in_two_out", "nested"])
def test_w8a8_computes_what_the_plan_means(name: str, lower: Lower) -> None:
    made = lower(name, "int8", 17)
    assert made.kinds("quantize")
    assert made.snr_against(simulate(made.network, made.plan)) > 20
    assert made.snr_against(made.network) > 15


def test_weights_are_the_plans_to_the_last_bit(lower: Lower) -> None:
    made = lower("cnn", "int8", 16)
    stored = {
        tuple(np.atleast_1d(op.parameters["scale"][0].constant).astype(np.float32).tolist())
        for op in made.kinds("constexpr_affine_dequantize")
    }
    normal = [w for w in made.plan.weights if min(w.scale) >= 2**-14]
    assert len(normal) >= 4
    assert {w.scale for w in normal} <= stored


@pytest.mark.parametrize(
    ("recipe", "ios", "kind", "weights"),
    [
        ("int8-weights", 16, "constexpr_affine_dequantize", "int8"),
        ("int8-weights", 18, "constexpr_blockwise_shift_scale", "int8"),
        ("w8-per-tensor", 16, "constexpr_affine_dequantize", "int8"),
        ("w8a16", 17, "constexpr_affine_dequantize", "int8"),
        ("w4", 16, "constexpr_affine_dequantize", "int8"),
        ("w4", 18, "constexpr_blockwise_shift_scale", "int4"),
        ("w4-palette", 16, "constexpr_lut_to_dense", "palette4"),
        ("w6-uniform", 16, "constexpr_lut_to_dense", "palette6"),
        ("w3-palette", 17, "constexpr_lut_to_dense", "palette4"),
        ("w3-palette", 18, "constexpr_lut_to_dense", "palette3"),
        ("w2-uniform", 18, "constexpr_lut_to_dense", "palette2"),
    ],
)
def test_every_recipe_is_executed_and_is_what_the_plan_means(
    recipe: str, ios: int, kind: str, weights: str, lower: Lower
) -> None:
    made = lower("cnn", recipe, ios)
    assert made.kinds(kind)
    assert (made.emission.weights, made.emission.activations) == (weights, "float16")
    assert made.snr_against(simulate(made.network, made.plan)) > 35


def test_what_was_not_possible_is_told_with_the_remedy(lower: Lower) -> None:
    def notes(recipe: str, ios: int) -> str:
        return " ".join(lower("cnn", recipe, ios).emission.notes)

    assert "integer ones need --ios 17" in notes("int8", 16)
    assert "Compressed weights need --ios 16" in notes("int8", 15)
    assert "no 16-bit integers" in notes("w8a16", 17)
    assert "int4 needs --ios 18" in notes("w4", 16)
    assert "indices of 3 bits need --ios 18" in notes("w3-palette", 17)
    assert "float16" not in notes("int8", 17)


@pytest.mark.parametrize(
    ("recipe", "ios"), [("int8", 17), ("w4", 18), ("w4-palette", 16), ("w8-per-tensor", 16)]
)
def test_the_same_bytes_twice(recipe: str, ios: int, lower: Lower, tmp_path: Path) -> None:
    made = lower("cnn", recipe, ios)
    again = tmp_path / "m.mlpackage"
    coreml.emit(made.network, made.plan, None, Options(ios=ios), again)
    assert tree_digest(again) == tree_digest(made.emission.path)
