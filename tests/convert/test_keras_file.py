"""Keras files of both generations: read by the right library, equal to the live model."""

from __future__ import annotations

import json
import random
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.keras_file import _KERAS3, _load
from mlc.convert.network import Network
from mlc.convert.read import ReadOptions, from_model
from mlc.convert.source import identify
from mlc.errors import MlcError, SourceError, UsageError
from tests import networks
from tests.convert.keras_files import (
    DESCRIPTION,
    differs,
    feeds,
    functional,
    layer,
    picture_input,
    reading,
    write_h5,
)

RNG = np.random.default_rng(0)


def live(model: Any, network: Network) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The model called in inference mode, its outputs under the network's names."""
    names = [s.name for s in network.outputs]

    def call(one: dict[str, Any]) -> dict[str, Any]:
        given = list(one.values())
        results = model(given if len(given) > 1 else given[0], training=False)
        if isinstance(results, dict):
            return dict(results)
        results = results if isinstance(results, (list, tuple)) else [results]
        return dict(zip(names, results, strict=True))

    return call


@pytest.mark.parametrize("name", ["two_in_two_out", "nested", "lstm", "attention", "text"])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_keras_3_files_equal_the_live_model(name: str, suffix: str, tmp_path: Path) -> None:
    model = networks.make(name)
    model.save(tmp_path / f"m{suffix}")
    network = reading(tmp_path / f"m{suffix}")
    assert differs(network, live(model, network)) < 1e-6
    assert network.provenance.kind.startswith("Keras 3.")
    assert network.notes == ()
    assert [s.name for s in network.inputs] == [t.name for t in model.inputs]
    assert network.parameters == model.count_params()


def mobile(keras: Any) -> Any:
    """relu6, depthwise convolution, BatchNorm, and a model inside a model, of either generation."""
    layers = keras.layers
    inner = keras.Sequential(
        [
            layers.Conv2D(6, 3, strides=2, use_bias=False, input_shape=(12, 12, 3)),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same"),
        ],
        name="trunk",
    )
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(inner(image)))
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="kind")(x))
    networks.randomize(model)
    return model


def recurrent(keras: Any) -> Any:
    steps = keras.Input((7, 4), name="steps")
    x = keras.layers.Bidirectional(keras.layers.LSTM(5, return_sequences=True))(steps)
    return keras.Model(steps, keras.layers.GRU(3, name="last")(x))


def branched(keras: Any) -> Any:
    left = keras.Input((4,), name="left")
    right = keras.Input((4,), name="right")
    x = keras.layers.Dense(5, activation="relu")(left)
    total = keras.layers.Dense(2, name="total")(keras.layers.Concatenate()([x, right]))
    ratio = keras.layers.Dense(1, activation="sigmoid", name="ratio")(
        keras.layers.Subtract()([left, right])
    )
    return keras.Model([left, right], [total, ratio])


@pytest.mark.parametrize("build", [mobile, recurrent, branched])
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_keras_2_files_equal_the_live_model(
    build: Callable[[Any], Any], suffix: str, tmp_path: Path
) -> None:
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    model = build(tf_keras)
    model.save(tmp_path / f"m{suffix}")
    network = reading(tmp_path / f"m{suffix}")
    assert differs(network, live(model, network)) < 1e-6
    assert network.provenance.kind.startswith("Keras 2.")
    assert network.notes == (), "Keras 2 needs no second try"


def test_a_list_of_layers_with_relu6_and_an_old_depthwise_layer(tmp_path: Path) -> None:
    """Keras 2.0: the config of a Sequential is a list, relu6 a function of its own, no groups."""
    convolution = {"kernel_size": [3, 3], "strides": [1, 1], "padding": "valid", "use_bias": False}
    config = {
        "class_name": "Sequential",
        "config": [
            {
                "class_name": "Conv2D",
                "config": {
                    "name": "conv",
                    "batch_input_shape": [None, 6, 6, 3],
                    "dtype": "float32",
                    "filters": 4,
                    "data_format": "channels_last",
                    "activation": "relu6",
                    **convolution,
                },
            },
            {
                "class_name": "DepthwiseConv2D",
                "config": {
                    "name": "depth",
                    "depth_multiplier": 1,
                    "activation": "linear",
                    **convolution,
                },
            },
            {"class_name": "Flatten", "config": {"name": "flat"}},
            {
                "class_name": "Dense",
                "config": {"name": "scores", "units": 2, "activation": "softmax"},
            },
        ],
    }
    kernel = RNG.normal(size=(3, 3, 3, 4)) * 3
    depth, dense = RNG.normal(size=(3, 3, 4, 1)), RNG.normal(size=(16, 2)) * 0.1
    weights = {
        "conv": [("kernel", kernel)],
        "depth": [("depthwise_kernel", depth)],
        "flat": [],
        "scores": [("kernel", dense), ("bias", [0.1, -0.1])],
    }
    for version in ("2.0.8", None):
        path = write_h5(tmp_path / f"{version}.h5", config, weights, version)
        network = reading(path)
        assert network.inputs[0].shape == (1, 6, 6, 3)
        assert network.notes == ()

        def call(one: dict[str, Any]) -> dict[str, Any]:
            import tensorflow as tf

            (image,) = one.values()
            x = tf.nn.relu6(tf.nn.conv2d(image, kernel.astype("float32"), 1, "VALID"))
            x = tf.nn.depthwise_conv2d(x, depth.astype("float32"), [1, 1, 1, 1], "VALID")
            x = tf.reshape(x, (1, -1)) @ dense.astype("float32") + [0.1, -0.1]
            return {"scores": tf.nn.softmax(x)}

        assert differs(network, call) < 1e-6


def test_a_functional_file_of_keras_2_0(tmp_path: Path) -> None:
    config = functional(
        picture_input(),
        layer("Flatten", "flat", "image"),
        layer("Dense", "scores", "flat", units=2, activation="linear"),
        output="scores",
    )
    kernel = RNG.normal(size=(192, 2))
    path = write_h5(
        tmp_path / "m.h5",
        config,
        {"image": [], "flat": [], "scores": [("kernel", kernel), ("bias", [1.0, 2.0])]},
    )
    network = reading(path)
    assert network.notes == ()
    assert [s.name for s in network.inputs] == ["image"]

    def call(one: dict[str, Any]) -> dict[str, Any]:
        return {"scores": one["image"].reshape(1, -1) @ kernel + [1.0, 2.0]}

    assert differs(network, call) < 1e-6


def test_a_first_reshape_keeps_the_stored_input(tmp_path: Path) -> None:
    """Keras 3 loads this file with the shape after the Reshape as its input, and says nothing."""
    reshape = {"name": "fold", "batch_input_shape": [None, 12], "target_shape": [6, 2]}
    dense = {"name": "scores", "units": 2, "activation": "linear"}
    layers = [
        {"class_name": "Reshape", "config": {"dtype": "float32", **reshape}},
        {"class_name": "Flatten", "config": {"name": "flat"}},
        {"class_name": "Dense", "config": dense},
    ]
    config = {"class_name": "Sequential", "config": {"name": "folded", "layers": layers}}
    kernel = RNG.normal(size=(12, 2))
    weights = {"fold": [], "flat": [], "scores": [("kernel", kernel), ("bias", [0.0, 1.0])]}
    path = write_h5(tmp_path / "m.h5", config, weights, "2.2.4")
    with pytest.raises(
        SourceError, match=r"states input shapes \[\(None, 12\)\], but loading gave"
    ):
        _load(identify(path), _KERAS3, False, {})
    network = reading(path)
    assert network.inputs[0].shape == (1, 12)
    assert network.notes == ()
    assert (
        differs(network, lambda one: {"scores": next(iter(one.values())) @ kernel + [0, 1]}) < 1e-6
    )


def claim_version(path: Path, version: str) -> None:
    rewrite(path, "metadata.json", lambda _: json.dumps({"keras_version": version}).encode())


def rewrite(path: Path, member: str, change: Callable[[bytes], bytes]) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[member] = change(members[member])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_the_second_library_is_tried_and_a_note_tells_it(tmp_path: Path) -> None:
    """A file that misstates its version: tf_keras cannot read what Keras 3 wrote."""
    model = networks.make("two_in_two_out")
    model.save(tmp_path / "m.keras")
    claim_version(tmp_path / "m.keras", "2.15.0")
    network = reading(tmp_path / "m.keras")
    assert differs(network, live(model, network)) < 1e-6
    (note,) = network.notes
    assert note.startswith("Keras 2 refused the file (")
    assert note.endswith("; Keras 3 read it.")


def test_a_library_that_loads_other_weights_than_are_stored_is_not_believed(tmp_path: Path) -> None:
    """tf_keras builds this Keras 3 model and leaves its weights as they were initialised: no error."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(3, name="y")])
    model.build((None, 4))
    model.save(tmp_path / "m.keras")
    claim_version(tmp_path / "m.keras", "2.15.0")
    network = reading(tmp_path / "m.keras")
    assert differs(network, live(model, network)) < 1e-6
    assert network.notes


def test_a_file_of_a_newer_keras_says_so(tmp_path: Path) -> None:
    """Its initializers may have arguments that this Keras does not know."""
    networks.make("cnn").save(tmp_path / "m.keras")
    claim_version(tmp_path / "m.keras", "3.99.0")
    rewrite(tmp_path / "m.keras", "config.json", lambda old: old.replace(b'"seed"', b'"axes_of"'))
    with pytest.raises(SourceError, match=r"saved by Keras 3\.99\.0") as told:
        reading(tmp_path / "m.keras")
    assert "install a newer one" in str(told.value.hint)


def test_examples_are_read_by_the_oldest_keras_that_mlc_runs_with() -> None:
    """Python 3.10 has none that is newer than 3.12."""
    source = identify(Path(__file__).parents[2] / "examples" / "digits" / "digits.keras")
    assert source.version.startswith("3.12.")


def test_a_layer_in_two_nested_models_is_stored_twice_and_read_once(tmp_path: Path) -> None:
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    encoder = tf_keras.Sequential(
        [layers.Dense(3, input_shape=(4,), activation="tanh")], name="encoder"
    )
    head = tf_keras.Sequential([encoder, layers.Dense(2)], name="head")
    x = tf_keras.Input((4,), name="x")
    model = tf_keras.Model(x, [encoder(x), head(x)])
    model.save(tmp_path / "m.h5")
    network = reading(tmp_path / "m.h5")
    assert network.notes == ()
    assert differs(network, live(model, network)) < 1e-6


def test_weights_that_are_missing_from_the_loaded_model_are_noticed(tmp_path: Path) -> None:
    """A file with more weights than its config has places for is not read half."""
    import h5py

    path = networks.save("two_in_two_out", tmp_path / "m.h5")
    with h5py.File(path, "a") as file:
        file["model_weights"].create_dataset("forgotten/kernel", data=np.ones((3, 3)))
    with pytest.raises(SourceError, match=r"stores \d+ weights, but loading gave \d+"):
        reading(path)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_mixed_precision_is_computed_in_float32(library: str, policy: str, tmp_path: Path) -> None:
    import importlib

    keras = importlib.import_module(library)
    keras.utils.set_random_seed(0)
    try:
        keras.mixed_precision.set_global_policy(policy)
        half = mobile(keras)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    whole = mobile(keras)
    whole.set_weights(half.get_weights())
    half.save(tmp_path / "m.keras")
    network = reading(tmp_path / "m.keras")
    assert {s.dtype for s in (*network.inputs, *network.outputs)} == {"float32"}
    assert not any("float16" in str(node.attr.get("DstT", "")) for node in network.nodes())
    assert differs(network, live(whole, network)) < 1e-6


def test_a_live_model_keeps_its_precision(tmp_path: Path) -> None:
    import keras

    layers = [keras.layers.Dense(3, dtype="mixed_float16"), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,), name="x"), *layers])
    network = from_model(model, DESCRIPTION, ReadOptions())
    assert network.outputs[0].dtype == "float32"
    assert [each.dtype_policy.name for each in layers] == ["mixed_float16", "float32"]
    assert model(np.ones((1, 4))).dtype == "float32"
    assert model.layers[0](np.ones((1, 4))).dtype == "float16"


def test_inputs_and_outputs_may_be_dicts(tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    left, right = keras.Input((3,), name="l"), keras.Input((3,), name="r")
    total = keras.layers.Dense(2)(keras.layers.Subtract()([left, right]))
    double = keras.layers.Dense(1)(keras.layers.Add()([left, right]))
    model = keras.Model({"second": right, "first": left}, {"b": double, "a": total})
    model.save(tmp_path / "m.keras")
    network = reading(tmp_path / "m.keras")
    assert {s.name for s in network.inputs} == {"l", "r"}

    def call(one: dict[str, Any]) -> Any:
        return model({"first": one["l"], "second": one["r"]})

    assert {s.name for s in network.outputs} == {"a", "b"}
    assert differs(network, call) < 1e-6


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_inputs_and_outputs_may_be_nested(library: str) -> None:
    import importlib

    keras = importlib.import_module(library)
    keras.utils.set_random_seed(0)
    a, b, c = (keras.Input((3,), name=name) for name in "abc")
    left = keras.layers.Subtract(name="left")([a, b])
    right = keras.layers.Subtract(name="right")([b, c])
    model = keras.Model(
        [c, {"k": (b, a)}], [right, {"z": left, "y": [keras.layers.Add(name="sum")([a, c])]}]
    )
    network = from_model(model, DESCRIPTION, ReadOptions())
    assert {s.name for s in network.inputs} == {"a", "b", "c"}

    def call(one: dict[str, Any]) -> Any:
        return {
            "left": one["a"] - one["b"],
            "right": one["b"] - one["c"],
            "sum": one["a"] + one["c"],
        }

    assert {s.name for s in network.outputs} == {"left", "right", "sum"}
    assert differs(network, call) < 1e-6


def test_one_layer_that_ends_twice_gives_two_names(tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    shared = keras.layers.Dense(2, name="shared")
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    model = keras.Model([a, b], [shared(a), shared(b)])
    model.save(tmp_path / "m.keras")
    network = reading(tmp_path / "m.keras")
    assert [s.name for s in network.outputs] == ["shared", "shared_1"]
    assert differs(network, live(model, network)) < 1e-6


def test_a_functional_subclass_is_read_with_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlc_test_own.py").write_text(
        "import keras\n"
        "@keras.saving.register_keras_serializable('mlc_test')\n"
        "class Own(keras.Model):\n"
        "    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mlc_test_own", raising=False)
    import importlib

    import keras

    keras.utils.set_random_seed(0)
    own = importlib.import_module("mlc_test_own").Own
    x = keras.Input((3,), name="x")
    model = own(inputs=x, outputs=keras.layers.Dense(2, name="y")(x))
    model.save(tmp_path / "m.keras")
    network = reading(tmp_path / "m.keras", custom_objects="mlc_test_own")
    assert differs(network, live(model, network)) < 1e-6


def unshaped(library: str) -> Any:
    import importlib

    keras = importlib.import_module(library)
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2)])


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_a_model_without_an_input_shape_needs_one(library: str) -> None:
    model = unshaped(library)
    with pytest.raises(SourceError, match="does not know its input shape") as caught:
        from_model(model, DESCRIPTION, ReadOptions())
    assert "--input-shape" in caught.value.hint
    network = from_model(model, DESCRIPTION, ReadOptions(shapes={"x": (2, 4)}))
    assert [str(s) for s in network.inputs] == ["x 2×4 float32"]
    assert network.outputs[0].shape == (2, 2)
    assert differs(network, live(model, network)) < 1e-6


def test_saved_after_its_first_call_it_knows_its_shape(tmp_path: Path) -> None:
    model = unshaped("keras")
    model(np.ones((1, 4)))
    model.save(tmp_path / "m.keras")
    network = reading(tmp_path / "m.keras")
    assert network.inputs[0].shape == (1, 4)
    assert differs(network, live(model, network)) < 1e-6


@pytest.mark.parametrize(("batch", "first"), [(1, 1), (5, 5), (None, None)])
def test_the_batch_is_what_is_asked(batch: int | None, first: int | None, tmp_path: Path) -> None:
    path = networks.save("two_in_two_out", tmp_path / "m.keras")
    network = reading(path, batch=batch)
    assert {s.shape[0] for s in (*network.inputs, *network.outputs)} == {first}
    assert feeds(network)


def test_an_open_dimension_is_filled_by_input_shape(tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    model = keras.Model(image, keras.layers.Dense(2, name="y")(x))
    model.save(tmp_path / "m.keras")
    assert reading(tmp_path / "m.keras").inputs[0].shape == (1, None, None, 3)
    network = reading(tmp_path / "m.keras", shapes={"image": (2, 9, 7, 3)})
    assert network.inputs[0].shape == (2, 9, 7, 3)
    assert differs(network, live(model, network)) < 1e-6


def test_a_shape_for_no_input_is_refused(tmp_path: Path) -> None:
    path = networks.save("two_in_two_out", tmp_path / "m.keras")
    with pytest.raises(UsageError, match="has no input 'middle'") as caught:
        reading(path, shapes={"middle": (1, 6)})
    assert "left, right" in caught.value.hint


def test_a_shape_that_does_not_fit_is_a_sentence(tmp_path: Path) -> None:
    path = networks.save("two_in_two_out", tmp_path / "m.keras")
    with pytest.raises(
        SourceError, match="The model cannot be run on left 1×5 float32, "
    ) as caught:
        reading(path, shapes={"left": (1, 5)})
    assert "\x1b" not in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("batch", [1, 2])
def test_layers_that_keep_state_are_refused(batch: int) -> None:
    import keras

    steps = keras.Input((5, 3), batch_size=2, name="steps")
    model = keras.Model(steps, keras.layers.LSTM(4, stateful=True)(steps))
    with pytest.raises(SourceError, match=r"stateful|changes its state"):
        from_model(model, DESCRIPTION, ReadOptions(batch=batch))


@pytest.mark.parametrize("kind", ["StringLookup", "Hashing", "TextVectorization"])
def test_text_stays_in_the_app(kind: str) -> None:
    import keras

    words = keras.Input((1,), dtype="string", name="words")
    options = {"Hashing": {"num_bins": 5}, "StringLookup": {"vocabulary": ["a", "b"]}}
    text = getattr(keras.layers, kind)(**options.get(kind, {"vocabulary": ["a", "b"]}))
    model = keras.Model(words, text(words))
    with pytest.raises(SourceError, match="Input 'words' takes text"):
        from_model(model, DESCRIPTION, ReadOptions())


def test_what_is_no_model_is_refused() -> None:
    for thing in (42, np.zeros(3), lambda x: x):
        with pytest.raises(SourceError, match="is no Keras model"):
            from_model(thing, DESCRIPTION, ReadOptions())


def test_a_live_model_has_the_digest_of_its_network() -> None:
    model = networks.make("two_in_two_out")
    first = from_model(model, DESCRIPTION, ReadOptions())
    assert first.provenance.kind == "live keras model"
    assert from_model(model, DESCRIPTION, ReadOptions()) == first
    kernel, bias = model.get_layer("total").get_weights()
    model.get_layer("total").set_weights([kernel, bias + 1])
    assert from_model(model, DESCRIPTION, ReadOptions()).provenance != first.provenance


def test_a_layer_that_nobody_knows_is_named(tmp_path: Path) -> None:
    config = functional(picture_input(), layer("SpecialPooling", "pool", "image"), output="pool")
    path = write_h5(tmp_path / "m.h5", config, {"image": [], "pool": []})
    with pytest.raises(SourceError, match="SpecialPooling") as caught:
        reading(path)
    assert "--custom-objects" in caught.value.hint
    assert "\n" not in caught.value.message


def test_own_code_may_stand_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The console script, unlike `python -m`, has not the current folder on its path."""
    (tmp_path / "mlc_test_here.py").write_text("def pool(x):\n    return x\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    path = networks.save("two_in_two_out", tmp_path / "m.keras")
    assert reading(path, custom_objects="mlc_test_here").notes == ()


def test_a_signature_is_none_of_a_keras_file(tmp_path: Path) -> None:
    path = networks.save("two_in_two_out", tmp_path / "m.keras")
    with pytest.raises(UsageError, match="has no signatures: it is a Keras archive"):
        reading(path, signature="serve")


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to everything inside a config."""
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in children:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


def spoil(config: Any, rng: random.Random) -> Any:
    """Remove or replace one thing in a config."""
    spoilt = json.loads(json.dumps(config))
    *path, last = rng.choice(list(places(spoilt)))
    node = spoilt
    for key in path:
        node = node[key]
    if rng.random() < 0.4:
        del node[last]
    else:
        node[last] = rng.choice([None, 5, -1, "x", [], {}, [None], {"class_name": ["Dense"]}])
    return spoilt


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_no_config_shows_as_a_traceback(library: str, tmp_path: Path) -> None:
    """Keras raises whatever it meets in a config that nobody wrote; all of it becomes a sentence."""
    import importlib

    import h5py

    model = branched(importlib.import_module(library))
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r") as file:
        config = json.loads(file.attrs["model_config"])
    rng, refused = random.Random(0), 0
    for _ in range(40):
        with h5py.File(tmp_path / "m.h5", "a") as file:
            file.attrs["model_config"] = json.dumps(spoil(config, rng))
        try:
            reading(tmp_path / "m.h5")
        except MlcError as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017
    assert refused > 10


def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    path = networks.save("two_in_two_out", tmp_path / "m.keras")
    with pytest.raises(UsageError, match="'mlc_no_such_module' cannot be imported"):
        reading(path, custom_objects="mlc_no_such_module")


def test_real_models_equal_what_their_own_keras_computes(shared: Path) -> None:
    """MLPerf Tiny: Keras 3 refuses this file of Keras 2.4."""
    import tf_keras

    path = shared / "models" / "mlperf_tiny" / "vww_96.h5"
    network = reading(path)
    model = tf_keras.models.load_model(str(path), compile=False)
    assert network.notes == ()
    assert differs(network, live(model, network)) < 1e-6
