"""What is in the file: names, metadata, operations, the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.network import Network, TensorSpec
from mlc.convert.preprocessing import Preprocessing
from mlc.errors import UnsupportedError
from mlc.targets import onnx
from mlc.targets.onnx.graphs import all_graphs
from mlc.targets.target import Emission
from tests.targets.onnx.conftest import network_of, noise, write

Freeze = Callable[..., Network]
Emit = Callable[..., Emission]

X = TensorSpec("x", (1, 6), "float32")


def load(path: Path) -> Any:
    import onnx as library

    return library.load(path)


@pytest.mark.parametrize("recipe", ["fp32", "fp16", "int8"])
def test_inputs_and_outputs_are_the_networks_in_their_order(
    recipe: str, frozen: Freeze, emit: Emit
) -> None:
    network = frozen("two_in_two_out")
    summary = onnx.inspect(emit("two_in_two_out", recipe).path)
    assert summary.inputs == network.inputs
    assert summary.outputs == network.outputs


def test_metadata_says_where_the_file_comes_from(tmp_path: Path) -> None:
    network = network_of(lambda t: {"y": t["x"] * 2}, X).described(
        labels=("kitten", "Käse"), preprocessing=Preprocessing(color="bgr", scale=0.5)
    )
    path = write(network, tmp_path).path
    model = load(path)
    assert (model.producer_name, model.doc_string) == ("mlc", "Says what is in a picture.")
    assert [o.version for o in model.opset_import] == [17]
    metadata = onnx.inspect(path).metadata
    assert list(metadata) == sorted(metadata)
    assert metadata["license"] == "MIT"
    assert metadata["source_sha256"] == "c0ffee"
    assert json.loads(metadata["labels"]) == ["kitten", "Käse"]
    stored = Preprocessing.from_json(json.loads(metadata["preprocessing"]))
    assert stored == network.preprocessing


def test_opset_is_the_one_asked_for(frozen: Freeze, tmp_path: Path) -> None:
    path = write(frozen("cnn"), tmp_path, opset=13).path
    assert onnx.inspect(path).format == "ONNX opset 13"
    emission = write(frozen("cnn"), tmp_path, "int8", opset=12)
    assert onnx.inspect(emission.path).format == "ONNX opset 13"
    assert "opset 13" in emission.notes[0]


def test_same_bytes_in_another_process(frozen: Freeze, emit: Emit, tmp_path: Path) -> None:
    """And with other hashes of strings, by which tf2onnx orders nodes."""
    script = (
        "import sys, pathlib\n"
        "from mlc.convert.network import Network\n"
        "from tests.targets.onnx.conftest import calibration_of, write\n"
        "for argument in sys.argv[1:]:\n"
        "    folder = pathlib.Path(argument)\n"
        "    network = Network.load(folder)\n"
        "    for recipe in ('int8', 'fp16', 'fp32'):\n"
        "        write(network, folder, recipe, calibration=calibration_of(network))\n"
    )
    names = ("cnn", "gru")
    for name in names:
        (tmp_path / name).mkdir()
        frozen(name, 1).save(tmp_path / name)
    subprocess.run(
        [sys.executable, "-c", script, *(str(tmp_path / name) for name in names)],
        check=True,
        capture_output=True,
        env=os.environ | {"PYTHONHASHSEED": "4711"},
    )
    for name in names:
        for recipe in ("fp32", "fp16", "int8"):
            there = tmp_path / name / f"{recipe}.onnx"
            assert _sha(emit(name, recipe).path) == _sha(there), (name, recipe)


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["cnn", "gru"])
def test_nothing_is_left_of_tf2onnx_names(name: str, emit: Emit) -> None:
    model = load(emit(name, "fp32").path)
    graphs = list(all_graphs(model.graph))
    nodes = [node for graph in graphs for node in graph.node]
    tensors = [n for node in nodes for n in node.output] + [
        t.name for graph in graphs for t in graph.initializer
    ]
    assert len({node.name for node in nodes}) == len(nodes)
    assert len(set(tensors)) == len(tensors)
    assert not any("__" in name or ":" in name for name in tensors)
    assert not any(graph.value_info or graph.doc_string for graph in graphs)


def test_an_output_may_be_an_input_or_another_output(tmp_path: Path) -> None:
    import tensorflow as tf

    def call(t: dict[str, Any]) -> dict[str, Any]:
        double = t["x"] * 2
        return {"a": double, "b": double, "same": t["x"], "fixed": tf.constant([1.0, 2.0])}

    network = network_of(call, X, TensorSpec("unused", (1, 2), "float32"))
    feeds = noise(network)
    for recipe in ("fp32", "fp16"):
        with closing(onnx.open(write(network, tmp_path, recipe).path)) as runtime:
            assert runtime.inputs == network.inputs
            results = runtime.run(feeds)
        np.testing.assert_allclose(results["a"], feeds["x"] * 2, atol=0.01)
        np.testing.assert_array_equal(results["b"], results["a"])
        np.testing.assert_allclose(results["same"], feeds["x"], atol=0.01)
        np.testing.assert_array_equal(results["fixed"], [1, 2])


def test_open_dimensions_have_names_that_mean_something(frozen: Freeze, emit: Emit) -> None:
    graph = load(emit("two_in_two_out", "fp32", None).path).graph
    batches = {v.type.tensor_type.shape.dim[0].dim_param for v in (*graph.input, *graph.output)}
    assert batches == {"batch"}


@pytest.mark.parametrize("batch", [1, None])
def test_lstm_is_one_operation_at_any_batch(batch: int | None, emit: Emit) -> None:
    """At batch 1 TensorFlow rewrites the cell so that tf2onnx does not know it any more."""
    ops = onnx.inspect(emit("lstm", "fp32", batch).path).ops
    assert ops["LSTM"] == 1
    assert "Loop" not in ops


def test_loops_read_their_weights_from_outside(emit: Emit) -> None:
    """As variables of the loop weights could not be quantized."""
    graph = load(emit("gru", "fp32").path).graph
    (loop,) = (node for node in graph.node if node.op_type == "Loop")
    shapes = {t.name: tuple(t.dims) for t in graph.initializer}
    carried = [shapes.get(name, ()) for name in loop.input[2:]]
    assert not {(4, 18), (6, 18)} & set(carried)
    assert {(4, 18), (6, 18)} <= set(shapes.values())


def test_what_tf2onnx_lacks_is_there(tmp_path: Path) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    kernel = tf.constant(rng.normal(size=(3, 3, 2, 8)).astype("float32"))

    @tf.function(jit_compile=True)
    def grouped(x: Any) -> Any:
        return tf.nn.conv2d(x, kernel, 1, "VALID")

    def call(t: dict[str, Any]) -> dict[str, Any]:
        return {"y": tf.math.erfc(t["x"]) + tf.math.expm1(t["x"]), "z": grouped(t["x"])}

    network = network_of(call, TensorSpec("x", (1, 6, 6, 4), "float32"))
    emission = write(network, tmp_path)
    ops = onnx.inspect(emission.path).ops
    assert {"Erf", "Exp", "Conv"} <= set(ops)
    feeds = noise(network)
    expected = Reference(network).run(feeds)
    with closing(onnx.open(emission.path)) as runtime:
        for name, result in runtime.run(feeds).items():
            np.testing.assert_allclose(result, expected[name], atol=1e-5)


def test_a_missing_operation_is_named_in_a_sentence(tmp_path: Path) -> None:
    import tensorflow as tf

    network = network_of(lambda t: {"y": tf.math.lgamma(t["x"]) + tf.math.erfinv(t["x"])}, X)
    with pytest.raises(UnsupportedError, match="Erfinv, Lgamma") as caught:
        write(network, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
