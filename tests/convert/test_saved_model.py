"""SavedModels of Keras 3, Keras 2 and plain TensorFlow: signatures, names, shapes, damage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.network import Network
from mlc.errors import SourceError, UsageError
from tests import networks
from tests.convert.keras_files import differs, reading


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A Keras 3 model and its export, which has the signatures serve and serving_default."""
    model = networks.make("two_in_two_out")
    path = tmp_path_factory.mktemp("exported") / "two"
    model.export(path, verbose=False)
    return model, path


def test_an_export_of_keras_3_equals_the_live_model(exported: tuple[Any, Path]) -> None:
    model, path = exported
    network = reading(path)
    assert {s.name for s in network.inputs} == {"left", "right"}
    assert network.provenance.kind == "SavedModel"
    assert network.parameters == model.count_params()

    def call(one: dict[str, Any]) -> dict[str, Any]:
        total, ratio = model([one["left"], one["right"]])
        return {"output_0": total, "output_1": ratio}

    assert differs(network, call) < 1e-6


def test_every_signature_can_be_chosen(exported: tuple[Any, Path]) -> None:
    _, path = exported
    default, serve = reading(path), reading(path, signature="serve")
    assert [s.shape for s in serve.outputs] == [s.shape for s in default.outputs]


def test_an_unknown_signature_names_those_there_are(exported: tuple[Any, Path]) -> None:
    with pytest.raises(SourceError, match=r"serv.*, serv") as caught:
        reading(exported[1], signature="predict")
    assert "--signature" in caught.value.hint


def test_a_saved_model_of_keras_2_equals_the_live_model(tmp_path: Path) -> None:
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    image = tf_keras.Input((8, 8, 3), name="image")
    x = tf_keras.layers.BatchNormalization()(tf_keras.layers.Conv2D(4, 3)(image))
    x = tf_keras.layers.Dropout(0.5)(tf_keras.layers.Flatten()(x))
    model = tf_keras.Model(image, tf_keras.layers.Dense(2, activation="softmax", name="kind")(x))
    networks.randomize(model)
    model.save(tmp_path / "m", save_format="tf")
    network = reading(tmp_path / "m")
    assert [str(s) for s in network.inputs] == ["image 1×8×8×3 float32"]
    assert network.is_classifier
    assert differs(network, lambda one: {"kind": model(one["image"], training=False)}) < 1e-6


Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Save a plain function of tensors, under any signature names."""

    def save(call: Any, *specs: Any, names: tuple[str, ...] = ("serving_default",)) -> Path:
        import tensorflow as tf

        module = tf.Module()
        module.kernel = tf.Variable(np.arange(12, dtype="float32").reshape(3, 4) / 7)
        function = tf.function(
            lambda *tensors: call(module, *tensors), input_signature=specs, autograph=False
        )
        signatures = dict.fromkeys(names, function)
        tf.saved_model.save(module, str(tmp_path / "m"), signatures=signatures)
        return tmp_path / "m"

    return save


def spec(shape: Any, name: str = "x", dtype: str = "float32") -> Any:
    import tensorflow as tf

    return tf.TensorSpec(shape, dtype, name=name)


def test_plain_tensorflow_keeps_its_names(save: Save) -> None:
    path = save(lambda m, x: {"Scores:v1": x @ m.kernel, "b": x + 1}, spec((None, 3), "In-put"))
    network = reading(path)
    assert [s.name for s in network.inputs] == ["In_put"]
    assert {s.name for s in network.outputs} == {"Scores", "b"}
    assert any("'Scores:v1' became 'Scores'" in note for note in network.notes)
    kernel = np.arange(12, dtype="float32").reshape(3, 4) / 7

    def call(one: dict[str, Any]) -> dict[str, Any]:
        return {"Scores": one["In_put"] @ kernel, "b": one["In_put"] + 1}

    assert differs(network, call) < 1e-6
    assert network.parameters == 12


def test_one_signature_of_any_name_is_taken(save: Save) -> None:
    path = save(lambda m, x: {"y": x * 2}, spec((None, 3)), names=("infer",))
    assert reading(path).outputs[0].name == "y"


def test_of_several_without_a_default_one_must_be_chosen(save: Save) -> None:
    path = save(lambda m, x: {"y": x * 2}, spec((None, 3)), names=("encode", "decode"))
    with pytest.raises(SourceError, match=r"has the signatures: .*code, .*code"):
        reading(path)
    assert reading(path, signature="decode").outputs[0].name == "y"


def test_without_signatures_there_is_nothing_to_run(tmp_path: Path) -> None:
    import tensorflow as tf

    tf.saved_model.save(tf.Module(), str(tmp_path / "m"))
    with pytest.raises(SourceError, match="has the signatures: none"):
        reading(tmp_path / "m")


@pytest.mark.parametrize(("batch", "first"), [(1, 1), (6, 6), (None, None)])
def test_an_open_batch_is_what_is_asked(batch: Any, first: Any, save: Save) -> None:
    network = reading(save(lambda m, x: {"y": x * 2}, spec((None, 3))), batch=batch)
    assert network.inputs[0].shape == (first, 3)
    assert network.outputs[0].shape == (first, 3)
    assert network.notes == ()


@pytest.mark.parametrize("batch", [1, None])
def test_a_batch_that_the_source_fixes_stays(batch: Any, save: Save) -> None:
    network = reading(save(lambda m, x: {"y": x * 2}, spec((4, 3))), batch=batch)
    assert network.inputs[0].shape == (4, 3)
    assert network.notes == ("The source fixes the batch of input 'x' at 4; so it stays.",)


def check_runs(network: Network) -> None:
    assert differs(network, lambda one: {"y": one["x"] * 2}) < 1e-6


def test_an_input_without_any_shape_needs_one(save: Save) -> None:
    path = save(lambda m, x: {"y": x * 2}, spec(None))
    with pytest.raises(SourceError, match="Input 'x' has no shape") as caught:
        reading(path)
    assert "--input-shape x=DIMS" in caught.value.hint
    network = reading(path, shapes={"x": (2, 5)})
    assert network.outputs[0].shape == (2, 5)
    check_runs(network)


def test_a_shape_for_no_input_is_refused(save: Save) -> None:
    path = save(lambda m, x: {"y": x * 2}, spec((None, 3)))
    with pytest.raises(UsageError, match="no input 'image'"):
        reading(path, shapes={"image": (1, 3)})


def test_a_shape_that_does_not_fit_is_a_sentence(save: Save) -> None:
    path = save(lambda m, x: {"y": x @ m.kernel}, spec((None, 3)))
    with pytest.raises(SourceError, match="cannot be run on x 1×5 float32: ") as caught:
        reading(path, shapes={"x": (1, 5)})
    assert "\n" not in caught.value.message


def test_a_single_number_is_no_input(save: Save) -> None:
    path = save(lambda m, x, t: {"y": x * t}, spec((None, 3)), spec((), "threshold"))
    with pytest.raises(SourceError, match="Input 'threshold' is a single number"):
        reading(path)


def test_counters_and_tables_are_refused(save: Save) -> None:
    path = save(lambda m, x: {"y": x + m.kernel.assign_add(m.kernel)[0, :3]}, spec((None, 3)))
    with pytest.raises(SourceError, match=r"changes its state|keeps state"):
        reading(path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: shutil.rmtree(path / "variables"), "cannot load|damaged"),
        (lambda path: (path / "saved_model.pb").write_bytes(b"\x0a\xff"), "is damaged"),
        (lambda path: (path / "saved_model.pb").write_bytes(b""), "cannot load"),
        (lambda path: (path / "saved_model.pb").unlink(), r"holds no saved_model\.pb"),
    ],
    ids=["no variables", "broken graph", "empty graph", "no graph"],
)
def test_damage_is_a_sentence(
    damage: Callable[[Path], Any], says: str, exported: tuple[Any, Path], tmp_path: Path
) -> None:
    path = tmp_path / "m"
    shutil.copytree(exported[1], path)
    damage(path)
    with pytest.raises(SourceError, match=says) as caught:
        reading(path)
    assert "\n" not in str(caught.value)
