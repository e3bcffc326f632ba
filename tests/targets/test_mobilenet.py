"""MobileNetV2 in every format: what is fused, counted in the files, and what its integers take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlc import targets
from mlc.convert.network import Description, Network
from mlc.convert.read import ReadOptions, from_model
from mlc.data.dataset import Calibration
from mlc.data.synthesized import synthesize
from mlc.optimize.optimize import Request, make_plan, simplify
from mlc.optimize.recipe import named
from mlc.targets.target import Options
from tests.networks import randomize

# Ops that only names, or a converter's layout, ask for count too.
MOST_OPS = {"tflite": 66, "onnx": 106, "tfjs": 70}
# What another op does beside it where everything is fused.
UNFUSED = {"Conv2D", "DepthwiseConv2dNative", "BiasAdd", "Relu6", "Relu", "Mul", "MUL"}


@pytest.fixture(scope="module")
def mobilenet() -> Network:
    """With random weights and BatchNorm statistics, simplified as a build does."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None)
    randomize(model)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, np.linspace(-1, 1, len(bias))])
    network, _ = simplify(from_model(model, Description("mobilenet"), ReadOptions()))
    return network


@pytest.mark.parametrize("target", MOST_OPS)
def test_everything_that_can_be_fused_is(target: str, mobilenet: Network, tmp_path: Path) -> None:
    room = targets.target(target)
    path = tmp_path / f"mobilenet{room.SUFFIX}"
    plan = make_plan(mobilenet, Request(named("fp32")))
    ops = room.inspect(room.emit(mobilenet, plan, None, Options(), path).path).ops
    assert sum(ops.values()) <= MOST_OPS[target]
    assert not [op for op in ops if op in UNFUSED or "BatchNorm" in op]


@pytest.mark.parametrize("target", targets.NAMES)
def test_integers_take_little_more_than_a_byte_each(
    target: str, mobilenet: Network, tmp_path: Path
) -> None:
    room = targets.target(target)
    path = tmp_path / f"mobilenet{room.SUFFIX}"
    samples = Calibration(synthesize(mobilenet, 2), mobilenet, 2)
    plan = make_plan(mobilenet, Request(named("int8"), samples))
    room.emit(mobilenet, plan, None, Options(ios=17), path)
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    size = sum(file.stat().st_size for file in files)
    assert size <= 1.10 * mobilenet.parameters + 100_000
