"""Two executors that share nothing agree: mlc's evaluator, and the one of `second_opinion.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.network import Description
from mlc.convert.read import ReadOptions, from_model
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import named
from mlc.targets.coreml import emit, evaluator
from mlc.targets.target import Options
from tests import networks
from tests.photographs import photographs
from tests.targets.coreml import second_opinion

Array = np.ndarray[Any, np.dtype[Any]]

# Share of the output's span. In float16 sums in another order are rounded to another neighbour now and
# then, and that spreads: the floor under any tolerance for a float16 program.
TOLERANCE = {"fp32": 1e-5, "fp16": 2e-3}


def efficientnet() -> Any:
    """Inverted residuals with squeeze-and-excitation and silu."""
    from keras import layers

    image = layers.Input((32, 32, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.Activation("silu")(layers.BatchNormalization()(x))
    for stride in (1, 2):
        y = layers.Activation("silu")(layers.BatchNormalization()(layers.Conv2D(24, 1)(x)))
        y = layers.DepthwiseConv2D(5, stride, padding="same", use_bias=False)(y)
        y = layers.Activation("silu")(layers.BatchNormalization()(y))
        scale = layers.GlobalAveragePooling2D(keepdims=True)(y)
        scale = layers.Conv2D(24, 1, activation="sigmoid")(
            layers.Conv2D(2, 1, activation="silu")(scale)
        )
        y = layers.BatchNormalization()(layers.Conv2D(8, 1)(layers.Multiply()([y, scale])))
        x = layers.Add()([x, y]) if stride == 1 else y
    x = layers.GlobalAveragePooling2D()(x)
    return _classifier(image, x)


def resnet() -> Any:
    """Padding, large first kernel, max pooling, bottlenecks, pre-activation."""
    from keras import layers

    image = layers.Input((32, 32, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.Conv2D(8, 7, strides=2)(layers.ZeroPadding2D(3)(x))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for stride in (1, 2):
        y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 1, strides=stride)(x)))
        y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(y)))
        y = layers.BatchNormalization()(layers.Conv2D(16, 1)(y))
        x = layers.ReLU()(layers.Add()([layers.Conv2D(16, 1, strides=stride)(x), y]))
    x = layers.AveragePooling2D(2, padding="same")(layers.BatchNormalization()(x))
    return _classifier(image, layers.Flatten()(x))


def _classifier(image: Any, features: Any) -> Any:
    import keras
    from keras import layers

    wide = keras.initializers.RandomNormal(stddev=1.0)
    return keras.Model(
        image, layers.Dense(6, "softmax", kernel_initializer=wide, name="kind")(features)
    )


@pytest.fixture(scope="module")
def made(package: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A package by the name of its network, `tests/networks.py` or here, and the recipe."""

    def make(name: str, recipe: str) -> Path:
        if name in networks.BUILDERS:
            return package(name, recipe)
        import keras

        keras.utils.set_random_seed(0)
        model = {"efficientnet": efficientnet, "resnet": resnet}[name]()
        networks.randomize(model)
        network = from_model(model, Description(name), ReadOptions(batch=1))
        path = tmp_path_factory.mktemp(name) / f"{recipe}.mlpackage"
        emit(network, Plan(named(recipe)), None, Options(ios=17), path)
        return path

    return make


def feeds(runtime: evaluator.Evaluator, count: int) -> list[dict[str, Array]]:
    rng = np.random.default_rng(3)

    def draw(name: str, shape: Any, dtype: str) -> Array:
        if name == "image":
            return photographs(count, *shape[1:3])
        if dtype.startswith("int"):
            return rng.integers(0, 10, (count, *shape[1:]))
        return rng.normal(0, 1, (count, *shape[1:])).astype(np.float32)

    arrays = {s.name: draw(s.name, s.shape, s.dtype) for s in runtime.inputs}
    return [{name: array[k : k + 1] for name, array in arrays.items()} for k in range(count)]


@pytest.mark.parametrize("recipe", ["fp32", "fp16"])
@pytest.mark.parametrize(
    "name",
    ["cnn", "efficientnet", "resnet", "unet", "attention", "lstm", "gru", "text"],
)
def test_both_executors_agree(name: str, recipe: str, made: Any) -> None:
    path = made(name, recipe)
    opened = evaluator.open(path)
    given = feeds(opened, 3)
    found = [opened.run(feed) for feed in given]
    second = second_opinion.run(path, given)
    for output in found[0]:
        ours = np.stack([row[output] for row in found]).astype(np.float64)
        theirs = np.stack([row[output] for row in second]).astype(np.float64)
        assert ours.shape == theirs.shape
        span = float(np.ptp(theirs))
        assert span > 1e-3
        assert np.abs(ours - theirs).max() <= TOLERANCE[recipe] * span


def test_the_second_executor_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    from tests.targets.coreml.evaluator import programs

    x = np.ones((1, 4, 4, 4), np.float32)
    path = programs.save(
        tmp_path / "p.mlpackage",
        lambda mb, x: {"y": mb.space_to_depth(x=x, block_size=2)},
        {"x": x},
    )
    with pytest.raises(NotImplementedError, match="space_to_depth"):
        second_opinion.run(path, [{"x": x}])
