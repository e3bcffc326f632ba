"""Sparse, palettized and integer weights in one package: what they decode to, executed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.network import Network, TensorSpec
from mlc.errors import UnsupportedError
from mlc.optimize.optimize import Request, make_plan
from mlc.optimize.palette import palette
from mlc.optimize.recipe import named
from mlc.optimize.simulate import simulate
from mlc.targets import coreml
from mlc.targets.coreml import weights
from mlc.targets.coreml.evaluator.program import load
from mlc.targets.coreml.evaluator.weights import stored
from mlc.targets.target import Array, Emission, Options
from tests.targets.coreml.evaluator import programs
from tests.targets.coreml.test_rewrites import network_of

rng = np.random.default_rng(8)
PICTURE = TensorSpec("x", (1, 6, 6, 32), "float32")
FEEDS = {"x": rng.normal(size=PICTURE.shape).astype(np.float32)}
# 73,728 elements: more than float16 can count to. 24 channels: 16 does not divide them.
LARGE = rng.normal(0, 0.1, (3, 3, 32, 256)).astype(np.float32)
ODD = rng.normal(0, 0.1, (1, 1, 256, 24)).astype(np.float32)
DENSE = (rng.normal(0, 0.1, (24, 48)) * np.linspace(0.1, 4, 48)).astype(np.float32)
WEIGHTS = {"large": LARGE, "odd": ODD, "dense": DENSE}


def pruned(values: Array, share: float) -> Array:
    """Without the share of smallest magnitude."""
    return np.where(np.abs(values) > np.quantile(np.abs(values), share), values, 0)


@cache
def network(share: float) -> Network:
    """Two convolutions and a product, so many of their weights 0."""
    import tensorflow as tf

    def compute(x: Any) -> Any:
        for name in ("large", "odd"):
            x = tf.nn.relu(tf.nn.conv2d(x, pruned(WEIGHTS[name], share), 1, "SAME"))
        return tf.matmul(tf.reduce_mean(x, [1, 2]), pruned(WEIGHTS["dense"], share))

    return network_of(compute, PICTURE)


Emit = Callable[[str, int, float], Emission]


@pytest.fixture(scope="module")
def emit(tmp_path_factory: pytest.TempPathFactory) -> Emit:
    @cache
    def make(recipe: str, ios: int, share: float) -> Emission:
        path = tmp_path_factory.mktemp("weights") / "m.mlpackage"
        plan = make_plan(network(share), Request(named(recipe)))
        return coreml.emit(network(share), plan, None, Options(ios=ios), path)

    return make


def kinds(emission: Emission) -> list[str]:
    ops = load(emission.path).block.walk()
    return [op.kind.removeprefix("constexpr_") for op in ops if op.kind.startswith("constexpr_")]


def size(emission: Emission) -> int:
    return sum(file.stat().st_size for file in emission.path.rglob("weight.bin"))


SPARSE, SPARSE_INTEGERS, SPARSE_PALETTE = (
    ["sparse_to_dense"] * 3,
    ["sparse_blockwise_shift_scale", "sparse_to_dense"] * 3,
    ["lut_to_sparse", "sparse_to_dense"] * 3,
)


@pytest.mark.parametrize(
    ("recipe", "ios", "ops"),
    [
        ("fp32", 16, SPARSE), ("fp16", 16, SPARSE), ("fp16", 18, SPARSE),
        ("int8-weights", 18, SPARSE_INTEGERS), ("w4", 18, SPARSE_INTEGERS),
        ("w8-per-tensor", 18, SPARSE_INTEGERS),
        ("w4-palette", 18, SPARSE_PALETTE), ("w2-uniform", 18, SPARSE_PALETTE),
        ("w3-palette", 18, SPARSE_PALETTE),
    ],
)  # fmt: skip
def test_zeros_are_not_stored_and_the_rest_is_what_the_plan_means(
    recipe: str, ios: int, ops: list[str], emit: Emit
) -> None:
    emission = emit(recipe, ios, 0.75)
    assert kinds(emission) == ops
    assert not emission.notes[1:], "nothing is other than asked, but for float16 activations"
    assert size(emission) < 0.8 * size(emit(recipe, ios, 0.0))
    values = stored(emission.path)
    for name, weight in WEIGHTS.items():
        (found,) = [v for v in values.values() if v.size == weight.size]
        assert np.count_nonzero(found) <= np.count_nonzero(pruned(weight, 0.75)), name
    planned = make_plan(network(0.75), Request(named(recipe)))
    with closing(coreml.open(emission.path)) as runtime:
        (got,) = runtime.run(FEEDS).values()
    (wanted,) = Reference(simulate(network(0.75), planned)).run(FEEDS).values()
    floor = 35 if recipe != "w4" else 15  # blocks of 32 are finer than the plan, which is noted
    assert sqnr(got, wanted) > floor


@pytest.mark.parametrize("recipe", ["int8-weights", "w4-palette"])
def test_before_ios_18_zeros_are_stored_with_the_rest_and_that_is_told(
    recipe: str, emit: Emit
) -> None:
    emission = emit(recipe, 17, 0.75)
    assert "sparse_to_dense" not in kinds(emission)
    assert any("only --ios 18 leaves out" in note for note in emission.notes)


def test_a_mask_that_is_larger_than_what_it_leaves_out_is_not_written(emit: Emit) -> None:
    """One bit for each weight, and as many for each that is left."""
    assert kinds(emit("w1-palette", 18, 0.75)) == ["lut_to_dense"] * 3


def sqnr(found: Array, wanted: Array) -> float:
    noise = found.astype(np.float64) - wanted
    return float(10 * np.log10(np.sum(wanted.astype(np.float64) ** 2) / np.sum(noise**2)))


@pytest.fixture(scope="module")
def stock() -> Any:
    """A model of coremltools' own of the weights, in float16, to compress with its own tools."""

    def build(mb: Any, x: Any) -> dict[str, Any]:
        def const(values: Array, order: tuple[int, ...], name: str) -> Any:
            return mb.const(val=values.transpose(order).astype(np.float16), name=name)

        x = mb.transpose(x=mb.cast(x=x, dtype="fp16"), perm=[0, 3, 1, 2])
        x = mb.relu(x=mb.conv(x=x, weight=const(LARGE, (3, 2, 0, 1), "large"), pad_type="same"))
        x = mb.relu(x=mb.conv(x=x, weight=const(ODD, (3, 2, 0, 1), "odd")))
        x = mb.reduce_mean(x=x, axes=[2, 3], keep_dims=False)
        return {"y": mb.cast(x=mb.matmul(x=x, y=const(DENSE, (0, 1), "dense")), dtype="fp32")}

    return programs.convert(build, FEEDS, ios=18)


def test_stock_pruning_leaves_large_float16_weights_dense(
    stock: Any, emit: Emit, tmp_path: Path
) -> None:
    """A percentile in float16 is NaN for so many. When this fails, coremltools is mended."""
    import coremltools.optimize.coreml as cto

    config = cto.OpMagnitudePrunerConfig(target_sparsity=0.75, weight_threshold=31)
    with pytest.warns(RuntimeWarning):
        model = cto.prune_weights(stock, cto.OptimizationConfig(global_config=config))
    model.save(str(tmp_path / "m.mlpackage"))
    shares = {v.size: np.mean(v == 0) for v in stored(tmp_path / "m.mlpackage").values()}
    assert shares[LARGE.size] < 0.01, "asked for 75 %"
    assert shares[ODD.size] == pytest.approx(0.75, abs=0.01)
    ours = {v.size: np.mean(v == 0) for v in stored(emit("fp16", 18, 0.75).path).values()}
    assert ours[LARGE.size] == pytest.approx(0.75, abs=0.01)


def test_stock_palettes_of_groups_corrupt_what_they_skip(
    stock: Any, emit: Emit, tmp_path: Path
) -> None:
    """A weight is left divided by its scales. When this fails, coremltools is mended."""
    import coremltools.optimize.coreml as cto

    config = cto.OpPalettizerConfig(
        nbits=4, mode="uniform", granularity="per_grouped_channel", group_size=16,
        enable_per_channel_scale=True, weight_threshold=31,
    )  # fmt: skip
    model = cto.palettize_weights(stock, cto.OptimizationConfig(global_config=config))
    model.save(str(tmp_path / "m.mlpackage"))
    wanted = ODD.transpose(3, 2, 0, 1)
    found = {v.size: v for v in stored(tmp_path / "m.mlpackage").values()}
    assert sqnr(found[ODD.size], wanted) < 0
    ours = {v.size: v for v in stored(emit("w4-uniform", 18, 0.0).path).values()}
    table, indices = palette(wanted, 4, "uniform")
    np.testing.assert_array_equal(ours[ODD.size], table[indices])


def test_a_package_that_holds_other_weights_is_no_package(
    emit: Emit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As if coremltools had written one scale wrongly."""
    build = weights._build

    def wrong(encoded: Any, weight: Any) -> Any:
        scale = np.array(encoded.parameters["scale"])
        scale.reshape(-1)[-1] *= 1.01
        parameters = {**encoded.parameters, "scale": scale}
        return build(replace(encoded, parameters=parameters), weight)

    monkeypatch.setattr(weights, "_build", wrong)
    plan = make_plan(network(0.0), Request(named("int8-weights")))
    with pytest.raises(UnsupportedError, match="differently from what was meant"):
        coreml.emit(network(0.0), plan, None, Options(ios=18), tmp_path / "m.mlpackage")
