"""Which recurrences become BlockLSTM, and that they compute the same; which must not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.network import Description, Network
from mlc.convert.read import ReadOptions, from_model
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import named
from mlc.targets import coreml
from mlc.targets.target import Options
from tests.targets.coreml.test_rewrites import feeds, ops_of, rewritten

Build = Callable[[Any, Any], Any]

NATIVE: dict[str, Build] = {
    "last": lambda layers, x: layers.LSTM(5)(x),
    "sequence": lambda layers, x: layers.LSTM(5, return_sequences=True)(x),
    "states": lambda layers, x: layers.Concatenate()(layers.LSTM(5, return_state=True)(x)),
    "no bias": lambda layers, x: layers.LSTM(5, use_bias=False)(x),
    "backwards": lambda layers, x: layers.LSTM(5, go_backwards=True)(x),
    "stacked": lambda layers, x: layers.LSTM(4)(layers.LSTM(5, return_sequences=True)(x)),
    "both ways": lambda layers, x: layers.Bidirectional(layers.LSTM(5))(x),
}
LOOPS: dict[str, Build] = {
    "relu": lambda layers, x: layers.LSTM(5, activation="relu")(x),
    "hard sigmoid": lambda layers, x: layers.LSTM(5, recurrent_activation="hard_sigmoid")(x),
    "gru": lambda layers, x: layers.GRU(5)(x),
    "masked": lambda layers, x: layers.LSTM(5)(layers.Masking()(x)),
}


def frozen(keras: Any, build: Build, batch: int | None = 1) -> Network:
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 3), name="x")
    model = keras.Model(x, build(keras.layers, x))
    for layer in model.layers:  # a bias of zeros would hide a wrong order of gates
        layer.set_weights([w + 0.3 * np.random.default_rng(1).normal(size=w.shape)
                           for w in layer.get_weights()])  # fmt: skip
    return from_model(model, Description("recurrent"), ReadOptions(batch=batch))


def assert_same(before: Network, after: Network) -> None:
    data = feeds(before)
    name = before.outputs[0].name
    np.testing.assert_allclose(
        Reference(after).run(data)[name], Reference(before).run(data)[name], atol=1e-6
    )


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.parametrize("name", NATIVE)
def test_an_lstm_becomes_one_op(name: str, library: str) -> None:
    before = frozen(pytest.importorskip(library), NATIVE[name])
    after, _ = rewritten(before)
    assert "BlockLSTM" in ops_of(after)
    assert not ops_of(after) & {"While", "StatelessWhile"}
    assert_same(before, after)


@pytest.mark.parametrize("name", LOOPS)
def test_any_other_recurrence_stays_a_loop(name: str) -> None:
    import keras

    before = frozen(keras, LOOPS[name])
    after, _ = rewritten(before)
    assert "BlockLSTM" not in ops_of(after)
    assert_same(before, after)


@pytest.mark.parametrize(
    ("batch", "recipe", "tolerance"), [(None, "fp32", 1e-6), (3, "fp16", 2e-3)]
)
def test_the_package_has_one_lstm_op_and_runs(
    batch: int | None, recipe: str, tolerance: float, tmp_path: Path
) -> None:
    import keras

    network = frozen(keras, NATIVE["sequence"], batch)
    path = tmp_path / "lstm.mlpackage"
    coreml.emit(network, Plan(named(recipe)), None, Options(), path)
    ops = coreml.inspect(path).ops
    assert ops["lstm"] == 1
    assert "while_loop" not in ops
    data = {"x": np.random.default_rng(0).normal(size=(batch or 2, 6, 3)).astype("float32")}
    name = network.outputs[0].name
    with closing(coreml.open(path)) as runtime:
        np.testing.assert_allclose(
            runtime.run(data)[name], Reference(network).run(data)[name], atol=tolerance
        )


def test_a_loop_that_stops_early_stays_a_loop() -> None:
    """The cell is an LSTM's, but it must not be run over all steps."""
    import keras
    import tensorflow as tf

    network = frozen(keras, NATIVE["last"])
    graph_def = tf.compat.v1.GraphDef.FromString(network.graph)
    bounds = [
        node
        for function in graph_def.library.function
        for node in function.node_def
        if node.op == "Const" and node.name.endswith("Less/y")
    ]
    assert len(bounds) == 1
    bounds[0].attr["value"].tensor.CopyFrom(tf.make_tensor_proto(4))
    shorter = network.described(graph=graph_def.SerializeToString())
    after, _ = rewritten(shorter)
    assert "BlockLSTM" not in ops_of(after)
    assert_same(shorter, after)
