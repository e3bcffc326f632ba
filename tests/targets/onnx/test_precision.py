"""float16 and int8: what the file holds, and that it is right on every CPU."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.network import Network, TensorSpec
from mlc.optimize.optimize import Request, make_plan, simplify
from mlc.optimize.recipe import named
from mlc.optimize.simulate import simulate
from mlc.targets import onnx
from mlc.targets.onnx.graphs import all_graphs
from mlc.targets.target import Emission, Options
from tests.targets.onnx.conftest import calibration_of, network_of, noise, write

Freeze = Callable[..., Network]
Emit = Callable[..., Emission]


def constants(path: Path) -> dict[str, Any]:
    import onnx as library

    return {
        t.name: library.numpy_helper.to_array(t)
        for graph in all_graphs(library.load(path).graph)
        for t in graph.initializer
    }


@pytest.mark.parametrize(
    ("recipe", "calibrated", "weights", "activations"),
    [
        ("fp32", True, "float32", "float32"),
        ("fp16", True, "float16", "float16"),
        ("int8", True, "int8", "int8"),
        ("int8", False, "int8", "float32"),
    ],
)
def test_precision_is_what_the_file_holds(
    recipe: str, calibrated: bool, weights: str, activations: str, emit: Emit
) -> None:
    emission = emit("cnn", recipe, 1, calibrated)
    assert (emission.weights, emission.activations) == (weights, activations)
    assert onnx.inspect(emission.path).weights == weights
    kinds = {array.dtype.name for array in constants(emission.path).values() if array.size > 1024}
    assert kinds == ({"uint8"} if activations == "int8" else {weights})


@pytest.mark.parametrize("recipe", ["fp16", "int8"])
@pytest.mark.parametrize("name", ["lstm", "gru", "attention", "unet", "audio"])
def test_smaller_recipes_run_and_are_near(
    name: str, recipe: str, frozen: Freeze, emit: Emit
) -> None:
    network = frozen(name)
    limit = {"fp16": 0.02, "int8": 0.2}[recipe]
    with closing(onnx.open(emit(name, recipe).path)) as runtime:
        for seed in range(3):  # of those that calibration saw
            feeds = noise(network, 1, seed)
            for output, expected in Reference(network).run(feeds).items():
                span = max(np.ptp(expected), 0.1)
                error = np.abs(runtime.run(feeds)[output] - expected).max()
                assert error <= limit * span, output


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_weights_of_recurrent_layers_are_compressed(name: str, tmp_path: Path) -> None:
    import keras

    from mlc.convert.network import Description
    from mlc.convert.read import ReadOptions, from_model

    layer = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[name]
    steps = keras.Input((5, 24), name="steps")
    model = keras.Model(steps, keras.layers.Dense(3, name="y")(layer(32)(steps)))
    network = from_model(model, Description(name), ReadOptions())
    feeds = noise(network)
    expected = Reference(network).run(feeds)["y"]
    plain = write(network, tmp_path, "fp32").path.stat().st_size
    for recipe, ratio, limit in (("fp16", 0.6, 0.01), ("int8", 0.45, 0.05)):
        emission = write(network, tmp_path, recipe)
        assert emission.weights == {"fp16": "float16", "int8": "int8"}[recipe]
        assert emission.path.stat().st_size < ratio * plain
        with closing(onnx.open(emission.path)) as runtime:
            assert np.abs(runtime.run(feeds)["y"] - expected).max() < limit


def test_weights_that_can_overflow_16_bits_are_unsigned(emit: Emit) -> None:
    """uint8 by uint8 is added in 32 bits; depthwise convolutions add in 32 bits whatever they read."""
    kernels = {a.shape: a for a in constants(emit("cnn", "int8").path).values() if a.ndim == 4}
    for shape in ((160, 8, 1, 1), (8, 3, 3, 3)):
        stored = kernels[shape].astype(int)
        assert kernels[shape].dtype == np.uint8
        assert np.abs(stored - 128).max(axis=(1, 2, 3)).min() == 127, (
            "the plan's scales, all of them"
        )
    assert kernels[8, 1, 3, 3].dtype == np.int8


def test_weights_that_cannot_overflow_stay_signed(emit: Emit) -> None:
    """Of 4 bits no pair can; the faster kernels are for these."""
    stored = constants(emit("cnn", "w4a8").path)
    kinds = {a.dtype.name for a in stored.values() if a.ndim == 4}
    assert kinds == {"int8"}


def test_the_worst_inputs_do_not_saturate(tmp_path: Path) -> None:
    """All activations at their maximum, neighbouring weights of like sign."""
    import onnxruntime
    import tensorflow as tf

    rng = np.random.default_rng(0)
    product = tf.constant(np.abs(rng.normal(size=(64, 32))).astype("float32"))
    kernel = tf.constant(np.abs(rng.normal(size=(3, 3, 6, 16))).astype("float32"))

    def call(t: dict[str, Any]) -> dict[str, Any]:
        return {"y": tf.matmul(t["x"], product), "z": tf.nn.conv2d(t["image"], kernel, 1, "SAME")}

    network = network_of(
        call, TensorSpec("x", (1, 64), "float32"), TensorSpec("image", (1, 8, 8, 6), "float32")
    )

    def feeds(seed: int) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        return {s.name: rng.uniform(0, 1, s.shape).astype("float32") for s in network.inputs}

    ones = {s.name: np.ones(s.shape, "float32") for s in network.inputs}  # type: ignore[arg-type]
    path = write(
        network, tmp_path, "int8", calibration=lambda: iter([ones, *map(feeds, range(8))])
    ).path
    expected = Reference(network).run(ones)
    for exact in ("0", "1"):
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.x64quantprecision", exact)
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        for name, result in zip(("y", "z"), session.run(["y", "z"], ones), strict=True):
            np.testing.assert_allclose(result, expected[name], atol=0.02 * expected[name].max())


@pytest.mark.parametrize("name", ["cnn", "unet", "attention"])
def test_exact_and_fast_kernels_agree(name: str, emit: Emit, frozen: Freeze) -> None:
    """`session.x64quantprecision` forbids the kernels that saturate: the file does not need it."""
    import onnxruntime

    path, feeds = str(emit(name, "int8").path), noise(frozen(name))
    results = []
    for exact in ("0", "1"):
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.x64quantprecision", exact)
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        results.append(session.run(None, dict(feeds))[0])
    np.testing.assert_array_equal(results[0], results[1])


def test_softmax_keeps_its_resolution(emit: Emit, frozen: Freeze) -> None:
    with closing(onnx.open(emit("cnn", "int8").path)) as runtime:
        scores = runtime.run(noise(frozen("cnn")))["scores"]
    assert abs(scores.sum() - 1) < 1e-6


def test_int8_weights_run_as_constants(emit: Emit, frozen: Freeze, tmp_path: Path) -> None:
    """What widens them is folded when onnxruntime loads the file; a DequantizeLinear it would keep."""
    import onnx as library
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    path = emit("cnn", "int8", 1, False).path
    onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    before, after = (library.load(p).graph.node for p in (path, tmp_path / "loaded.onnx"))
    assert {"Cast", "Mul"} <= {node.op_type for node in before}
    assert "Cast" not in {node.op_type for node in after}


def test_float16_handles_what_has_no_float16(tmp_path: Path) -> None:
    import tensorflow as tf

    def call(t: dict[str, Any]) -> dict[str, Any]:
        x = t["x"]
        y = tf.minimum(tf.cumsum(x, axis=1), 3.0) + tf.reduce_max(x)
        z = tf.image.resize(x[:, :, None, None] * tf.ones((1, 1, 6, 2)), (9, 9), "bilinear")
        values, _ = tf.nn.top_k(x, 3)
        mask = tf.cast(tf.range(6.0) > 2.0, "float32") * -1e9
        return {"y": y, "z": z, "top": values, "masked": tf.nn.softmax(x + mask)}

    network = network_of(call, TensorSpec("x", (1, 6), "float32"))
    emission = write(network, tmp_path, "fp16")
    feeds = noise(network)
    expected = Reference(network).run(feeds)
    with closing(onnx.open(emission.path)) as runtime:
        for name, result in runtime.run(feeds).items():
            assert result.dtype == np.float32
            np.testing.assert_allclose(result, expected[name], atol=0.02)


def test_constants_beyond_float16_are_clamped_and_told(tmp_path: Path) -> None:
    import tensorflow as tf

    bias = tf.constant([[1e6, -1e6, np.inf, 1e-12, 0.0, 2.0]])
    network = network_of(lambda t: {"y": t["x"] * bias}, TensorSpec("x", (1, 6), "float32"))
    emission = write(network, tmp_path, "fp16")
    (stored,) = (a for a in constants(emission.path).values() if a.size == 6)
    assert stored.dtype == np.float16
    np.testing.assert_array_equal(stored[0, :3], [65504, -65504, np.inf])
    assert stored[0, 3] > 0
    assert stored[0, 4] == 0
    assert any("clamped" in note for note in emission.notes)


def test_operations_that_stay_float_are_named(emit: Emit) -> None:
    assert any("1 LSTM" in note for note in emit("lstm", "int8").notes)


def test_what_loops_read_stays_float_and_is_named(emit: Emit) -> None:
    (note,) = [n for n in emit("gru", "int8").notes if n.startswith("Loops and branches read")]
    assert note.endswith("loads the file: steps.")


def test_integer_activations_that_are_not_in_the_file_are_named(emit: Emit) -> None:
    (note,) = [n for n in emit("text", "int8").notes if "integer activations" in n]
    assert note.startswith("4 of the plan's 10")
    assert "BiasAdd" in note


@pytest.mark.parametrize("recipe", ["int8", "w4a8"])
@pytest.mark.parametrize("name", ["cnn", "nested", "unet"])
def test_a_file_computes_what_the_plan_means(
    name: str, recipe: str, frozen: Freeze, tmp_path: Path
) -> None:
    """Activations and weights have the plan's scales."""
    network, _ = simplify(frozen(name))
    plan = make_plan(network, Request(named(recipe), calibration_of(network)))
    path = tmp_path / "a.onnx"
    onnx.emit(network, plan, None, Options(), path)
    scales = {np.float32(a.scale) for a in plan.activations if a.scale}
    stored = {float(v) for v in constants(path).values() if v.dtype == np.float32 and v.ndim == 0}
    assert len(scales & stored) >= 0.5 * len(scales)
    vectors = {v.tobytes() for v in constants(path).values() if v.dtype == np.float32}
    integer = ("Conv2D", "DepthwiseConv2dNative", "MatMul")  # of what onnxruntime has kernels for
    of_weights = [np.array(w.scale, np.float32) for w in plan.weights if w.op in integer]
    assert of_weights
    assert all(scale.tobytes() in vectors for scale in of_weights)
    original, simulated = Reference(network), Reference(simulate(network, plan))
    with closing(onnx.open(path)) as runtime:
        for seed in range(100, 104):
            feeds = noise(network, seed=seed)
            for output, meant in simulated.run(feeds).items():
                span = np.ptp(original.run(feeds)[output])
                assert np.abs(runtime.run(feeds)[output] - meant).max() <= 0.05 * span, output


def test_open_batch_is_calibrated_with_any(frozen: Freeze, tmp_path: Path) -> None:
    network = frozen("cnn", None)
    emission = write(network, tmp_path, "int8", calibration=calibration_of(network, 32, 8))
    assert emission.activations == "int8"
    feeds = noise(network, 3)
    expected = Reference(network).run(feeds)["scores"]
    with closing(onnx.open(emission.path)) as runtime:
        np.testing.assert_allclose(runtime.run(feeds)["scores"], expected, atol=0.1)
