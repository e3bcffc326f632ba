"""Thawing: the same outputs before training, gradients everywhere, the same network after."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.data.dataset import batch_size
from mlc.data.synthesized import synthesize
from mlc.optimize.optimize import simplify
from mlc.optimize.training import thaw
from mlc.optimize.training.examples import run
from mlc.optimize.training.student import Keep
from mlc.optimize.training.thaw import Free, Thawed, freeze, size
from tests import networks
from tests.convert.keras_files import reading

NOT_HOTDOG = Path(__file__).parents[3] / "examples" / "not_hotdog" / "not_hotdog.h5"
TRAINABLE = sorted(set(networks.BUILDERS) - {"lstm", "gru"})  # their weights are inside loops


def feeds(network: Network, count: int) -> list[Any]:
    found = list(synthesize(network, count).samples())
    return [np.stack([s.feeds[i.name] for s in found]).astype(i.dtype) for i in network.inputs]


def stepping(thawed: Thawed, parameters: dict[str, Any]) -> Callable[[list[Any]], Any]:
    """What is computed of a batch, and the gradient of its random projection by each parameter."""
    import tensorflow as tf

    @partial(tf.function, autograph=False)
    def step(x: list[Any]) -> Any:
        with tf.GradientTape() as tape:
            found = thawed(x)
            loss = tf.add_n([tf.reduce_sum(tf.random.stateless_normal(tf.shape(y), (1, 2)) * y)
                             for y in found])  # fmt: skip
        return found, tape.gradient(loss, [p.trained[0] for p in parameters.values()])

    return lambda x: step([tf.constant(a) for a in x])


def check(network: Network) -> None:
    """Parity for several samples at once, and a gradient for each parameter."""
    network = simplify(network)[0]
    parameters: dict[str, Any] = Keep().parameters(Program.of(network).main)
    assert parameters
    references = [f"{s.name}:0" for s in network.outputs]
    x = feeds(network, 3)
    found, slopes = stepping(Thawed(network, parameters, references), parameters)(x)
    original = Reference(network)
    size = batch_size(network)
    for k in range(3 // size):
        rows = slice(k * size, (k + 1) * size)
        one = original.run({s.name: a[rows] for s, a in zip(network.inputs, x, strict=True)})
        for spec, ours in zip(network.outputs, found, strict=True):
            np.testing.assert_allclose(ours[rows], one[spec.name], rtol=1e-5, atol=1e-5)
    for name, slope in zip(parameters, slopes, strict=True):
        assert slope is not None, f"no gradient reaches {name}"
        assert np.abs(slope).max() > 0, f"the gradient of {name} is 0"


@pytest.mark.parametrize("name", TRAINABLE)
def test_every_kind_of_network(name: str, frozen: Callable[..., Network]) -> None:
    check(frozen(name))


@pytest.mark.parametrize("batch", [None, 2])
def test_open_and_larger_batches(batch: int | None, frozen: Callable[..., Network]) -> None:
    check(frozen("cnn", batch))


@pytest.mark.parametrize("at_once", [True, False])
def test_a_step_is_the_same_every_time(at_once: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions of many sizes and channels, as oneDNN's kernels need to get in each other's way."""
    network = simplify(reading(NOT_HOTDOG))[0]
    parameters: dict[str, Any] = Keep().parameters(Program.of(network).main)
    if not at_once:
        monkeypatch.setattr(thaw, "separates", lambda *_: False)
    thawed = Thawed(network, parameters, [f"{s.name}:0" for s in network.outputs])
    step, x = stepping(thawed, parameters), feeds(network, 32)
    (_, first), *others = (step(x) for _ in range(5))
    for _, other in others:
        for a, b in zip(first, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_what_the_last_batch_lacks_is_filled_up_and_cut_off(
    frozen: Callable[..., Network],
) -> None:
    network = frozen("cnn", 2)
    thawed = Thawed(network, {}, ["scores:0"])
    x = feeds(network, 3)
    (all_three,), (two,) = run(thawed, x), run(thawed, [x[0][:2]])
    assert len(all_three) == 3
    np.testing.assert_allclose(all_three[:2], two, atol=1e-6)


def test_weights_in_loops_stay_and_those_behind_are_trained(
    frozen: Callable[..., Network],
) -> None:
    check(frozen("lstm"))


@pytest.mark.parametrize("kind", ["keras2", "saved", "nested"])
def test_every_source(kind: str, tmp_path: Path) -> None:
    if kind == "keras2":
        import tf_keras

        layers = [
            tf_keras.layers.Conv2D(6, 3, activation="relu", input_shape=(8, 8, 3)),
            tf_keras.layers.BatchNormalization(),
            tf_keras.layers.Flatten(),
            tf_keras.layers.Dense(3, activation="softmax"),
        ]
        model = tf_keras.Sequential(layers)
        networks.randomize(model)
        model.save(tmp_path / "model.h5")
        check(reading(tmp_path / "model.h5"))
    elif kind == "saved":
        networks.make("cnn").export(tmp_path / "saved", verbose=False)
        check(reading(tmp_path / "saved"))
    else:
        check(reading(networks.save("nested", tmp_path / "nested.keras")))


def test_freezing_again_changes_nothing_but_the_values(digits: Network) -> None:
    body = Program.of(digits).main
    parameters = Keep().parameters(body)
    same = freeze(digits, {name: p.frozen() for name, p in parameters.items()})
    assert same.graph == freeze(digits, {}).graph, "power-of-two sizes round nothing"
    name = next(iter(parameters))
    other = freeze(digits, {name: body.constant_value(name) * 2})
    np.testing.assert_array_equal(
        Program.of(other).main.constant_value(name), body.constant_value(name) * 2
    )


def test_a_variable_is_about_one_whatever_its_channel() -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(3, 3, 4, 6)) * 10.0 ** np.arange(-3, 3)).astype(np.float32)
    values[..., 5] = 0
    variable = np.asarray(Free(values, (3,)).trained[0])
    sizes = np.sqrt((variable[..., :5] ** 2).mean(axis=(0, 1, 2)))
    assert ((sizes > 0.7) & (sizes < 1.5)).all()
    assert size(np.zeros((2, 2), np.float32)) == 1
