"""Shapes computed on the way become constants; loops of SavedModels get the batch that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc.convert.fixed_shapes import fix_shapes
from mlc.convert.network import Network
from mlc.errors import MlcError
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import named
from mlc.targets import coreml, tflite
from mlc.targets.target import Options
from tests.convert.keras_files import differs, reading


def traced(call: Callable[..., Any], *shapes: Sequence[int | None]) -> Any:
    """A graph of `call` on float32 placeholders x0, x1, ...; its result is named y.

    `call` asks for shapes by raw ops: `tf.shape` answers at once where the shape is known, and so it does
    while a SavedModel is traced, where it is not.
    """
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        inputs = [tf.compat.v1.placeholder("float32", s, f"x{i}") for i, s in enumerate(shapes)]
        tf.identity(call(*inputs), "y")
    return graph


def run(graph: Any, *arrays: Any) -> Any:
    import tensorflow as tf

    with tf.compat.v1.Session(graph=graph) as session:
        return session.run("y:0", {f"x{i}:0": a for i, a in enumerate(arrays)})


def needed(graph: Any) -> set[str]:
    """Kinds of ops that the result depends on."""
    import tensorflow as tf

    used = tf.compat.v1.graph_util.extract_sub_graph(graph.as_graph_def(), ["y"])
    return {node.op for node in used.node}


def test_what_follows_from_a_shape_is_a_constant() -> None:
    import tensorflow as tf

    def call(x: Any) -> Any:
        batch, width = tf.unstack(tf.raw_ops.Shape(input=x))
        return tf.concat([tf.reshape(x, [batch * width, 1]), tf.ones([batch * width, 2])], 1)

    graph = fix_shapes(traced(call, (2, 3)))
    assert not needed(graph) & {"Shape", "Unpack", "Mul", "Pack"}
    assert run(graph, np.zeros((2, 3))).tolist() == [[0, 1, 1]] * 6


def test_a_graph_that_asks_for_no_shape_comes_back_as_it_is() -> None:
    graph = traced(lambda x: x + 1, (2, 3))
    assert fix_shapes(graph) is graph


def test_open_shapes_stay_open() -> None:
    import tensorflow as tf

    graph = fix_shapes(
        traced(lambda x: tf.reshape(x, [tf.raw_ops.Shape(input=x)[0], -1]), (None, 3, 2))
    )
    assert "Shape" in needed(graph)
    assert run(graph, np.zeros((4, 3, 2))).shape == (4, 6)


def test_only_small_integers_that_nothing_random_reaches_are_folded() -> None:
    import tensorflow as tf

    def call(x: Any) -> Any:
        drawn = tf.random.uniform(tf.raw_ops.Shape(input=x), 0, 9, tf.int32)
        large = tf.tile(tf.constant([1, 2]), [1000 * tf.raw_ops.Size(input=x)])
        floats = tf.cast(tf.raw_ops.Size(input=x), tf.float32) / 3
        return tf.cast(large, tf.float32) * floats + tf.cast(tf.reduce_sum(drawn), tf.float32)

    kinds = needed(fix_shapes(traced(call, (2, 3))))
    assert {"RandomUniformInt", "Tile", "RealDiv"} <= kinds
    assert not kinds & {"Shape", "Size"}


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_answers_stay_the_same_to_the_last_bit(shape: list[int], data: st.DataObject) -> None:
    """Any mix of shape arithmetic, reshaping and broadcasting, on any shape."""
    import tensorflow as tf

    steps = data.draw(st.lists(st.sampled_from(["flat", "grow", "ones", "turn"]), max_size=5))

    def call(x: Any) -> Any:
        for step in steps:
            size = tf.raw_ops.Shape(input=x)
            if step == "flat":
                x = tf.reshape(x, [tf.reduce_prod(size)])
            elif step == "grow":
                x = tf.reshape(tf.tile(x[None], tf.concat([[2], size * 0 + 1], 0)), 2 * size[:1])
            elif step == "ones":
                x = x / 3 + tf.ones(size) * tf.cast(size[0], x.dtype)
            else:
                x = tf.transpose(x, tf.range(tf.raw_ops.Rank(input=x))[::-1])
        return x

    steps = [s for s in steps if s != "grow"] if len(shape) > 1 else steps
    graph = traced(call, shape)
    x = np.random.default_rng(0).normal(size=shape)
    fixed = fix_shapes(graph)
    assert not needed(fixed) & {"Shape", "Rank"}
    np.testing.assert_array_equal(run(fixed, x), run(graph, x))


def loop(body: Callable[..., Any], x: Any, invariants: Sequence[Any]) -> Any:
    import tensorflow as tf

    def cond(i: Any, *_: Any) -> Any:
        return i < 3

    result = tf.while_loop(
        cond, lambda i, v: (i + 1, body(v)), (tf.constant(0), x), (tf.TensorShape([]), *invariants)
    )
    return result[1]


def test_a_variable_keeps_its_shape_where_the_body_does() -> None:
    import tensorflow as tf

    def call(x: Any) -> Any:
        start = tf.zeros([tf.raw_ops.Shape(input=x)[0], 2])
        return loop(lambda v: v + x, start, [tf.TensorShape([None, 2])])

    fixed = fix_shapes(traced(call, (5, 2)))
    assert fixed.get_tensor_by_name("y:0").shape.as_list() == [5, 2]
    np.testing.assert_array_equal(run(fixed, np.ones((5, 2))), np.full((5, 2), 3))


def test_a_variable_that_grows_stays_open() -> None:
    import tensorflow as tf

    def call(x: Any) -> Any:
        start = tf.zeros([tf.raw_ops.Shape(input=x)[0], 2])
        return loop(lambda v: tf.concat([v, v], 0), start, [tf.TensorShape([None, 2])])

    fixed = fix_shapes(traced(call, (5, 2)))
    assert fixed.get_tensor_by_name("y:0").shape.as_list() == [None, 2]
    assert run(fixed, np.ones((5, 2))).shape == (40, 2)


def recurrent(library: str, kind: str) -> Any:
    """A text classifier of either Keras; `kind` names its recurrent layer."""
    import keras
    import tf_keras

    k: Any = {"keras": keras, "tf_keras": tf_keras}[library]
    k.utils.set_random_seed(0)
    layers = k.layers
    cell = layers.GRU if kind.endswith("gru") else layers.LSTM
    tokens = k.Input((6,), name="tokens", dtype="int32")
    wide = k.initializers.RandomNormal(stddev=2.0)
    x = layers.Embedding(20, 4, wide, mask_zero=kind.startswith("masked"))(tokens)
    x = layers.Bidirectional(cell(5))(x) if kind.startswith("both") else cell(5)(x)
    return k.Model(tokens, layers.Dense(3, "softmax", name="scores")(x))


@pytest.mark.parametrize(
    ("library", "kind"),
    [
        ("keras", "both_gru"),
        ("keras", "masked_lstm"),
        ("tf_keras", "gru"),
        ("tf_keras", "both_lstm"),
    ],
)
def test_recurrent_saved_models_are_written_for_phones(
    library: str, kind: str, tmp_path: Path
) -> None:
    """TFLite refuses an open batch inside; Core ML a Keras 2 GRU, and loops that share a body."""
    model = recurrent(library, kind)
    model.export(str(tmp_path / "m"))
    network = reading(tmp_path / "m")
    assert [s.shape for s in network.outputs] == [(1, 3)]
    assert network.vocabulary == {"tokens": 20}
    assert "Shape" not in {node.op for node in network.nodes()}
    (name,) = (s.name for s in network.outputs)
    assert differs(network, lambda one: {name: model(one["tokens"])}) < 1e-6
    for target in (tflite, coreml):
        path = tmp_path / f"m{target.SUFFIX}"
        target.emit(network, Plan(named("fp32")), None, Options(), path)
        assert runs_as(network, target.open(path)) < 1e-5


def runs_as(network: Network, runtime: Any) -> float:
    """Largest difference of an artifact from the network on a few token sequences."""
    from mlc.convert.execute import Reference

    reference, worst, seen = Reference(network), 0.0, []
    for seed in range(3):
        feeds = {"tokens": np.random.default_rng(seed).integers(0, 20, (1, 6), "int32")}
        (expected,), (found,) = (r.run(feeds).values() for r in (reference, runtime))
        worst = max(worst, float(np.abs(expected - found).max()))
        seen.append(expected)
    assert np.ptp(seen, axis=0).max() > 1e-2, (
        "the reference does not vary: this would prove nothing"
    )
    return worst


def test_an_open_batch_in_a_loop_is_refused_with_the_flag_that_helps(tmp_path: Path) -> None:
    import keras

    frames = keras.Input((5, 4), name="frames")
    keras.Model(frames, keras.layers.LSTM(3)(frames)).export(tmp_path / "m", verbose=False)
    network = reading(tmp_path / "m", batch=None)
    with pytest.raises(MlcError, match="loop over tensors of open size") as caught:
        tflite.emit(network, Plan(named("fp32")), None, Options(), tmp_path / "m.tflite")
    assert caught.value.hint == "Fix it with --batch 1."
