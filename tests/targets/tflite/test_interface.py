"""Integer inputs and outputs: no float is left in the file, and outside everything is a real number."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.network import Network, TensorSpec
from mlc.errors import UnsupportedError
from mlc.optimize.decide import with_integer_outputs
from mlc.optimize.optimize import Request, make_plan, simplify
from mlc.optimize.recipe import named
from mlc.optimize.simulate import simulate
from mlc.targets import tflite
from mlc.targets.target import Emission, InputOutput, Options
from mlc.targets.tflite import flatbuffer
from mlc.targets.tflite.interface import left_in_floats
from tests.targets.tflite.conftest import calibration_of, network_of, noise

Freeze = Callable[..., Network]


def emitted(
    network: Network, folder: Path, io: InputOutput, recipe: str = "int8", calibrated: bool = True
) -> Emission:
    calibration = calibration_of(network) if calibrated else None
    plan = make_plan(network, Request(named(recipe), calibration))
    return tflite.emit(network, plan, None, Options(io=io), folder / f"{io}.tflite")


@pytest.mark.parametrize("io", ["int8", "uint8"])
@pytest.mark.parametrize("name", ["cnn", "two_in_two_out", "nested"])
def test_no_float_is_left(name: str, io: InputOutput, frozen: Freeze, tmp_path: Path) -> None:
    network, _ = simplify(frozen(name))
    emission = emitted(network, tmp_path, io)
    model = flatbuffer.parse(emission.path.read_bytes())
    (graph,) = model.subgraphs
    used = {i for op in graph.operators for i in (*op.inputs, *op.outputs) if i >= 0}
    kinds = {flatbuffer.type_name(graph.tensors[i].type) for i in used}
    assert kinds <= {"int8", "uint8", "int32"}
    assert "DEQUANTIZE" not in flatbuffer.histogram(model)
    assert emission.precision == f"int8, {io} in and out"
    with closing(tflite.open(emission.path)) as runtime:
        assert {s.dtype for s in (*runtime.inputs, *runtime.outputs)} == {io}
        assert [s.name for s in runtime.inputs] == [s.name for s in network.inputs]
        assert [s.name for s in runtime.outputs] == [s.name for s in network.outputs]


@pytest.mark.parametrize("io", ["int8", "uint8"])
@pytest.mark.parametrize("name", ["cnn", "two_in_two_out"])
def test_it_computes_what_the_plan_means(
    name: str, io: InputOutput, frozen: Freeze, tmp_path: Path
) -> None:
    network, _ = simplify(frozen(name))
    plan = make_plan(network, Request(named("int8"), calibration_of(network)))
    meant = Reference(simulate(network, with_integer_outputs(plan)))
    original = Reference(network)
    with closing(tflite.open(emitted(network, tmp_path, io).path)) as runtime:
        for seed in range(3):
            feeds = noise(network, seed=seed)
            found = runtime.run(feeds)
            for output, expected in meant.run(feeds).items():
                span = np.ptp(original.run(feeds)[output])
                steps = 0.08 * max(span, 0.2)  # a few: each operation may round otherwise
                assert np.abs(found[output] - expected).max() <= steps, output


def test_both_kinds_answer_alike(frozen: Freeze, tmp_path: Path) -> None:
    """uint8 is int8 and 128: the same integers inside."""
    network, _ = simplify(frozen("cnn"))
    feeds = noise(network, seed=5)
    answers = []
    for io in ("int8", "uint8"):
        with closing(tflite.open(emitted(network, tmp_path, io).path)) as runtime:  # type: ignore[arg-type]
            answers.append(runtime.run(feeds)["scores"])
    np.testing.assert_array_equal(*answers)


def test_a_softmax_at_the_end_has_its_fixed_range(frozen: Freeze, tmp_path: Path) -> None:
    network, _ = simplify(frozen("cnn"))
    path = emitted(network, tmp_path, "int8").path
    model = flatbuffer.parse(path.read_bytes())
    scores = model.subgraphs[0].tensors[model.subgraphs[0].outputs[0]]
    assert float(scores.quantization.scale[0]) == 1 / 256
    assert int(scores.quantization.zeroPoint[0]) == -128


def test_numbers_of_words_stay_what_they_are(frozen: Freeze, tmp_path: Path) -> None:
    import tensorflow as tf

    table = tf.constant(np.random.default_rng(0).normal(size=(40, 32)).astype("float32"))
    weights = tf.constant(np.random.default_rng(1).normal(size=(32, 4)).astype("float32"))
    network = network_of(
        lambda t: {"y": tf.nn.relu(tf.gather(table, t["words"]) @ weights)},
        TensorSpec("words", (1, 6), "int32"),
    )
    path = emitted(simplify(network)[0], tmp_path, "int8", "w8a8-per-tensor").path
    with closing(tflite.open(path)) as runtime:
        assert [s.dtype for s in (*runtime.inputs, *runtime.outputs)] == ["int32", "int8"]
        feeds = noise(network)
        expected = Reference(network).run(feeds)["y"]
        assert np.abs(runtime.run(feeds)["y"] - expected).max() <= 0.05 * np.ptp(expected)


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_what_stays_float_is_refused_by_name(io: InputOutput, tmp_path: Path) -> None:
    import tensorflow as tf

    weights = tf.constant(np.random.default_rng(0).normal(size=(8, 4)).astype("float32"))
    network = network_of(
        lambda t: {"y": tf.nn.elu(t["x"] @ weights)}, TensorSpec("x", (1, 8), "float32")
    )
    with pytest.raises(UnsupportedError) as caught:
        emitted(simplify(network)[0], tmp_path, io)
    assert caught.value.message == (
        f"--io {io} needs integers from end to end, and ELU of this network is computed in floats."
    )
    assert not list(tmp_path.iterdir()), "nothing is written"


@pytest.mark.parametrize("recipe", ["fp32", "int8-weights", "w8a16", "w4a8-palette"])
def test_other_recipes_are_refused(recipe: str, frozen: Freeze, tmp_path: Path) -> None:
    network, _ = simplify(frozen("cnn"))
    with pytest.raises(UnsupportedError, match="needs activations in 8 bits"):
        emitted(network, tmp_path, "int8", recipe)


def test_without_data_it_is_refused(frozen: Freeze, tmp_path: Path) -> None:
    network, _ = simplify(frozen("cnn"))
    with pytest.raises(UnsupportedError, match="needs activations in 8 bits"):
        emitted(network, tmp_path, "int8", calibrated=False)


def test_the_check_sees_floats(frozen: Freeze, tmp_path: Path) -> None:
    """The ordinary int8 file computes its softmax in floats."""
    network, _ = simplify(frozen("cnn"))
    path = emitted(network, tmp_path, "float").path
    assert left_in_floats(flatbuffer.parse(path.read_bytes())) == ["SOFTMAX"]


def test_the_plan_of_others_is_untouched(frozen: Freeze) -> None:
    network, _ = simplify(frozen("cnn"))
    plan = make_plan(network, Request(named("int8"), calibration_of(network)))
    changed = with_integer_outputs(plan)
    differing = [a for a, b in zip(plan.activations, changed.activations, strict=True) if a != b]
    assert [a.scale for a in differing] == [0.0]
    assert replace(changed, activations=plan.activations) == plan


def test_labels_and_metadata_are_in_it(frozen: Freeze, tmp_path: Path) -> None:
    """A reader normalizes to real numbers by the metadata, and to integers by the tensor's own scale."""
    from mlc.convert.preprocessing import Preprocessing

    network, _ = simplify(
        frozen("cnn").described(
            labels=("a", "b", "c", "d", "e"), preprocessing=Preprocessing(scale=1 / 255)
        )
    )
    float_file = emitted(network, tmp_path, "float").path
    integer_file = emitted(network, tmp_path, "uint8").path
    assert tflite.declares(float_file) == tflite.declares(integer_file)
    assert tflite.declares(integer_file)
