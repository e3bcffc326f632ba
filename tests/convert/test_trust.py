"""A model file is untrusted: what it carries is not run unless the user says so.

Every attack writes a marker file; not the message alone, but its absence is the proof.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.read import ReadOptions, from_model
from mlc.convert.source import identify
from mlc.convert.trust import check_config
from mlc.errors import SourceError, UntrustedError
from tests import networks
from tests.convert.keras_files import (
    DESCRIPTION,
    differs,
    functional,
    layer,
    picture_input,
    reading,
    write_h5,
)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


def lambda_model(library: str, marker: Path) -> Any:
    """A model whose Lambda writes the marker file whenever its Python runs."""
    import importlib

    keras = importlib.import_module(library)
    keras.utils.set_random_seed(0)
    code = f"lambda x: (open({str(marker)!r}, 'w').close(), x * 2)[1]"
    x = keras.Input((3,), name="x")
    # The shape is given, so that Keras need not call the function to find it.
    y = keras.layers.Lambda(eval(code), output_shape=(3,), name="double")(x)
    return keras.Model(x, keras.layers.Dense(2, name="y")(y))


@pytest.mark.parametrize(
    ("library", "suffix"),
    [("tf_keras", ".h5"), ("keras", ".keras"), ("keras", ".h5"), ("tf_keras", ".keras")],
)
def test_a_lambda_runs_only_with_trust(
    library: str, suffix: str, tmp_path: Path, marker: Path
) -> None:
    model = lambda_model(library, marker)
    model.save(tmp_path / f"m{suffix}")
    marker.unlink(missing_ok=True)
    with pytest.raises(UntrustedError, match=r"holds code: a .*ambda.* at 'double'") as caught:
        reading(tmp_path / f"m{suffix}")
    assert "--trust" in caught.value.hint
    assert not marker.exists(), "it ran"
    with pytest.raises(UntrustedError):
        reading(tmp_path / f"m{suffix}", custom_objects="json")
    network = reading(tmp_path / f"m{suffix}", trust=True)
    assert marker.exists(), "with --trust it does run: so the proof above can fail"
    assert differs(network, lambda one: {"y": model(one["x"])}) < 1e-6


def test_trust_ends_with_the_file_that_is_trusted(tmp_path: Path, marker: Path) -> None:
    """Keras keeps its safety switch in the process; a later file must not profit."""
    lambda_model("tf_keras", marker).save(tmp_path / "m.h5")
    reading(tmp_path / "m.h5", trust=True)
    from tf_keras.src.saving import serialization_lib

    assert serialization_lib.in_safe_mode() is None


def test_your_own_live_model_needs_no_trust(marker: Path) -> None:
    model = lambda_model("keras", marker)
    assert (
        differs(from_model(model, DESCRIPTION, ReadOptions()), lambda one: {"y": model(one["x"])})
        < 1e-6
    )


def calling(function: str, marker: Path, kind: str = "TFOpLambda") -> dict[str, Any]:
    """A layer that Keras 2 calls with a constant while it loads the model."""
    evil = layer(kind, "evil", trainable=True, dtype="float32", function=function)
    evil["inbound_nodes"] = [["_CONSTANT_VALUE", -1, str(marker), {}]]
    return functional(picture_input(), evil, output="image")


@pytest.mark.parametrize("kind", ["TFOpLambda", "SlicingOpLambda"])
@pytest.mark.parametrize("function", ["io.gfile.makedirs", "compat.v1.gfile.MakeDirs"])
def test_functions_of_tensorflow_are_not_called_while_loading(
    function: str, kind: str, tmp_path: Path, marker: Path
) -> None:
    path = write_h5(tmp_path / "m.h5", calling(function, marker, kind), {}, "2.9.0")
    with pytest.raises(UntrustedError, match=f"holds code: a call of {function} at 'evil'"):
        reading(path)
    assert not marker.exists(), "it ran"
    with pytest.raises(SourceError):
        reading(path, trust=True)
    assert marker.exists(), "with --trust it does run: so the proof above can fail"


BEYOND = [
    "load_library",
    "load_op_library",
    "compat.v1.load_file_system_library",
    "io.gfile.rmtree",
    "io.write_file",
    "compat.v1.write_file",
    "io.write_graph",
    "keras.utils.get_file",
    "raw_ops.WriteFile",
    "compat.v1.raw_ops.ReadFile",
    "py_function",
    "numpy_function",
    "compat.v1.py_func",
    "print",
    "compat.v1.Print",
    "saved_model.save",
    "data.Dataset",
    "summary.create_file_writer",
    "import_graph_def",
    "keras.models.load_model",
    "rpc_server",
    "debugging.experimental.enable_dump_debug_info",
]
COMPUTING = [
    "math.add",
    "nn.relu",
    "__operators__.getitem",
    "concat",
    "reshape",
    "cast",
    "compat.v1.transpose",
    "compat.v1.nn.conv2d",
    "image.resize",
    "meshgrid",
    "linalg.matmul",
    "keras.activations.relu",
    "experimental.numpy.moveaxis",
    "strings.length",
    "random.normal",
    "compat.v1.shape",
    "fingerprint",
]


@pytest.mark.parametrize("function", BEYOND)
def test_functions_that_do_more_than_compute_are_known(function: str, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "m.h5", calling(function, tmp_path), {}, "2.9.0")
    with pytest.raises(UntrustedError, match="holds code: "):
        check_config(identify(path))


@pytest.mark.parametrize("function", COMPUTING)
def test_functions_that_compute_pass(function: str, tmp_path: Path) -> None:
    path = write_h5(tmp_path / "m.h5", calling(function, tmp_path), {}, "2.9.0")
    check_config(identify(path))


@pytest.mark.parametrize(
    ("kind", "config", "what"),
    [
        ("ClassMethod", {"cls_symbol": "io.TFRecordWriter"}, "a call of io.TFRecordWriter"),
        ("TensorFlowOpLayer", {"node_def": '{"name": "a", "op": "WriteFile"}'}, "the op WriteFile"),
        ("TensorFlowOpLayer", {"node_def": {"op": "SaveV2"}}, "the op SaveV2"),
        ("TensorFlowOpLayer", {"node_def": 'name: "a" op: "ReadFile"'}, "the op ReadFile"),
        ("TensorFlowOpLayer", {}, "an op without a name"),
        ("TimeDistributed", {"layer": {"class_name": "Lambda", "config": {}}}, "a Lambda layer"),
        ("TFSMLayer", {"filepath": "/tmp/m"}, "a TFSMLayer layer"),
        ("Dense", {"activation": "<lambda>"}, "a Python lambda as activation"),
        ("Dense", {"activation": {"class_name": "__lambda__", "config": {}}}, "a Python lambda"),
    ],
)
def test_code_is_found_wherever_it_hides(
    kind: str, config: dict[str, Any], what: str, tmp_path: Path
) -> None:
    stored = functional(picture_input(), layer(kind, "evil", "image", **config), output="evil")
    path = write_h5(tmp_path / "m.h5", stored, {})
    with pytest.raises(UntrustedError, match=f"holds code: {what} at 'evil'"):
        check_config(identify(path))


def test_layers_that_name_a_harmless_op_pass(tmp_path: Path) -> None:
    for kind, config in {
        "ClassMethod": {"cls_symbol": "RaggedTensor"},
        "TensorFlowOpLayer": {"node_def": '{"name": "a", "op": "AddV2"}'},
    }.items():
        stored = functional(picture_input(), layer(kind, "op", "image", **config), output="op")
        check_config(identify(write_h5(tmp_path / "m.h5", stored, {})))


OWN = """
import keras, pathlib
pathlib.Path({marker!r}).touch()
@keras.saving.register_keras_serializable("mlc_test")
class Twice(keras.layers.Layer):
    def call(self, x):
        return x * 2
class Thrice(keras.layers.Layer):
    def call(self, x):
        return x * 3
class OwnLoss(keras.losses.Loss):
    def call(self, y, z):
        return y - z
def halve(x):
    return x / 2
"""


@pytest.fixture
def own(tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A user's own module; importing it writes the marker."""
    import importlib

    (tmp_path / "mlc_test_layers.py").write_text(OWN.format(marker=str(marker)))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mlc_test_layers", raising=False)
    yield importlib.import_module("mlc_test_layers")
    import keras

    keras.saving.get_custom_objects().clear()


@pytest.mark.parametrize("which", ["Twice", "Thrice", "halve"])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_own_layers_need_their_module(
    which: str, suffix: str, own: Any, tmp_path: Path, marker: Path
) -> None:
    import keras

    keras.utils.set_random_seed(0)
    x = keras.Input((3,), name="x")
    dense = keras.layers.Dense(3, activation=own.halve)
    y = dense(x) if which == "halve" else getattr(own, which)()(x)
    model = keras.Model(x, keras.layers.Dense(2, name="y")(y))
    model.save(tmp_path / f"m{suffix}")
    keras.saving.get_custom_objects().clear()
    sys.modules.pop("mlc_test_layers")
    marker.unlink()
    with pytest.raises(UntrustedError, match=which) as caught:
        reading(tmp_path / f"m{suffix}")
    assert "--custom-objects" in caught.value.hint
    assert not marker.exists(), "the module was imported because the file names it"
    network = reading(tmp_path / f"m{suffix}", custom_objects="mlc_test_layers")
    assert marker.exists()
    assert differs(network, lambda one: {"y": model(one["x"])}) < 1e-6


def test_losses_and_metrics_are_never_loaded(own: Any, tmp_path: Path) -> None:
    import keras

    model = networks.make("two_in_two_out")
    model.compile(loss={"total": own.OwnLoss(), "ratio": own.halve}, optimizer="sgd")
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert "mlc_test_layers" in str(json.loads(archive.read("config.json"))["compile_config"])
    keras.saving.get_custom_objects().clear()
    assert reading(tmp_path / "m.keras").notes == ()


def write_by_python(_: Any, x: Any, marker: Path) -> Any:
    import tensorflow as tf

    def write(value: Any) -> Any:
        marker.touch()
        return value

    return tf.ensure_shape(tf.py_function(write, [x], tf.float32), (None, 3))


def write_by_numpy(_: Any, x: Any, marker: Path) -> Any:
    import tensorflow as tf

    def write(value: Any) -> Any:
        marker.touch()
        return value

    return tf.ensure_shape(tf.numpy_function(write, [x], tf.float32), (None, 3))


def write_by_an_op(_: Any, x: Any, marker: Path) -> Any:
    import tensorflow as tf

    with tf.control_dependencies([tf.io.write_file(str(marker), "ran")]):
        return tf.identity(x)


def read_by_an_op(_: Any, x: Any, marker: Path) -> Any:
    import tensorflow as tf

    return x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def print_to_a_file(_: Any, x: Any, marker: Path) -> Any:
    import tensorflow as tf

    with tf.control_dependencies([tf.print("ran", output_stream=f"file://{marker}")]):
        return tf.identity(x)


def save_a_checkpoint(_: Any, x: Any, marker: Path) -> Any:
    import tensorflow as tf

    with tf.control_dependencies(
        [
            tf.raw_ops.SaveV2(
                prefix=str(marker), tensor_names=["x"], shape_and_slices=[""], tensors=[x]
            )
        ]
    ):
        return tf.identity(x)


def restore_a_checkpoint(_: Any, x: Any, marker: Path) -> Any:
    import tensorflow as tf

    (read,) = tf.raw_ops.RestoreV2(
        prefix=str(marker), tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32]
    )
    return x + tf.reduce_sum(read)


@pytest.mark.parametrize(
    ("call", "op"),
    [
        (write_by_python, "EagerPyFunc"),
        (write_by_numpy, "PyFunc"),
        (write_by_an_op, "WriteFile"),
        (read_by_an_op, "ReadFile"),
        (print_to_a_file, "PrintV2"),
        (save_a_checkpoint, "SaveV2"),
        (restore_a_checkpoint, "RestoreV2"),
    ],
)
def test_a_saved_model_stays_inside_its_graph(
    call: Callable[..., Any], op: str, tmp_path: Path, marker: Path
) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.scale = tf.Variable(2.0)
    specs = [tf.TensorSpec((None, 3), tf.float32, name="x")]
    function = tf.function(
        lambda x: {"y": call(module, x, marker) * module.scale},
        input_signature=specs,
        autograph=False,
    )
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=function)
    with pytest.raises(UntrustedError, match=f"m runs {op} \\(at ") as caught:
        reading(tmp_path / "m")
    assert "--trust" in caught.value.hint
    assert not list(tmp_path.glob("marker*")), "it ran"


@pytest.mark.parametrize("op", ["WriteFile", "SaveV2"])
def test_initializers_stay_inside_their_graph_too(op: str, tmp_path: Path, marker: Path) -> None:
    """Loading a SavedModel runs the initializers of its resources."""
    import tensorflow as tf
    from tensorflow.python.trackable.resource import CapturableResource

    class Resource(CapturableResource):
        def _create_resource(self) -> Any:
            return tf.raw_ops.MutableHashTableV2(key_dtype=tf.int64, value_dtype=tf.int64)

        def _initialize(self) -> None:
            save_a_checkpoint(None, tf.constant(1.0), marker)
            if op == "WriteFile":
                tf.io.write_file(str(marker), "ran")

    module = tf.Module()
    module.resource = Resource()
    specs = [tf.TensorSpec((None, 3), tf.float32, name="x")]
    function = tf.function(lambda x: {"y": x * 2}, input_signature=specs, autograph=False)
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=function)
    marker.unlink(missing_ok=True)
    with pytest.raises(UntrustedError, match=r"m runs (WriteFile|SaveV2)"):
        reading(tmp_path / "m")
    assert not marker.exists(), "it ran"
    if op == "WriteFile":
        reading(tmp_path / "m", trust=True)
        assert marker.exists(), "with --trust it does run: so the proof above can fail"


def test_a_trusted_saved_model_is_read(tmp_path: Path, marker: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    specs = [tf.TensorSpec((None, 3), tf.float32, name="x")]
    function = tf.function(
        lambda x: {"y": write_by_an_op(None, x, marker) * 2}, input_signature=specs, autograph=False
    )
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=function)
    network = reading(tmp_path / "m", trust=True)
    assert differs(network, lambda one: {"y": one["x"] * 2}) < 1e-6
    assert not marker.exists(), "a write that no output needs is not part of the network"


def test_ordinary_models_are_trusted(tmp_path: Path) -> None:
    for name in networks.BUILDERS:
        networks.save(name, tmp_path / f"{name}.keras")
        check_config(identify(tmp_path / f"{name}.keras"))
    assert np.all([(tmp_path / f"{name}.keras").exists() for name in networks.BUILDERS])
