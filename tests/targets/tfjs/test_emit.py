"""What stands in the folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc import __version__
from mlc.convert.execute import Reference
from mlc.convert.network import TensorSpec
from mlc.convert.preprocessing import Preprocessing
from mlc.errors import UnsupportedError
from mlc.optimize.optimize import Request, make_plan
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import named
from mlc.optimize.simulate import simulate
from mlc.store import tree_digest
from mlc.targets import tfjs
from mlc.targets.target import Options
from tests.targets.tfjs.conftest import IMAGE, Emit, network, weights


def manifest(path: Path) -> dict[str, dict[str, Any]]:
    model = json.loads((path / "model.json").read_text())
    return {w["name"]: w for group in model["weightsManifest"] for w in group["weights"]}


def perceptron() -> Any:
    import tensorflow as tf

    first, second, bias = weights(4, 8), weights(8, 3, seed=1), weights(8, seed=2)
    return lambda x: tf.nn.relu(x @ first + bias) @ second


def test_signature_has_the_networks_names_in_its_order(emit: Emit) -> None:
    tiny = network(
        lambda a, b: (a - b, a + b),
        TensorSpec("zebra", (None, 3), "float32"),
        TensorSpec("ape", (None, 3), "float32"),
        outputs=("minus", "also"),
    )
    signature = json.loads((emit(tiny) / "model.json").read_text())["signature"]
    assert list(signature["inputs"]) == ["zebra", "ape"]
    assert list(signature["outputs"]) == ["minus", "also"]
    assert signature["inputs"]["zebra"] == {
        "name": "zebra:0",
        "dtype": "DT_FLOAT",
        "tensorShape": {"dim": [{"size": "-1"}, {"size": "3"}]},
    }


@pytest.mark.parametrize(("recipe", "stored"), [("fp16", "float16"), ("int8", "uint8")])
def test_matrices_are_stored_smaller_and_biases_are_not(
    recipe: str, stored: str, emit: Emit
) -> None:
    path = emit(network(perceptron(), TensorSpec("x", (1, 4), "float32")), recipe)
    rows = manifest(path).values()
    kinds = {tuple(w["shape"]): w.get("quantization", {}).get("dtype") for w in rows}
    assert kinds[4, 8] == kinds[8, 3] == stored
    assert kinds[8,] is None
    assert tfjs.inspect(path).weights == named(recipe).weights


def test_the_plans_integers_are_stored_exactly(tmp_path: Path) -> None:
    """A byte is the integer and 128; what the file computes is what the plan means."""
    tiny = network(perceptron(), TensorSpec("x", (1, 4), "float32"))
    plan = make_plan(tiny, Request(named("int8")))
    emission = tfjs.emit(tiny, plan, None, Options(), tmp_path / "out")
    rows = [w["quantization"] for w in manifest(emission.path).values() if "quantization" in w]
    assert len(rows) == 2
    assert all((row["min"], row["scale"], row["dtype"]) == (-128, 1, "uint8") for row in rows)
    feeds = {"x": np.random.default_rng(0).normal(size=(1, 4)).astype("float32")}
    meant = Reference(simulate(tiny, plan)).run(feeds)
    with closing(tfjs.open(emission.path)) as runtime:
        for name, values in runtime.run(feeds).items():
            np.testing.assert_allclose(values, meant[name], atol=1e-5)


def test_the_emission_says_what_became_of_int8(tmp_path: Path) -> None:
    tiny = network(perceptron(), TensorSpec("x", (1, 4), "float32"))
    plan = make_plan(tiny, Request(named("int8")))
    emission = tfjs.emit(tiny, plan, None, Options(), tmp_path / "out")
    assert emission.precision == "int8 weights"
    assert "2 weights are stored as integers of 8 bits with the plan's scales" in emission.notes[0]
    assert not tfjs.emit(tiny, Plan(named("fp32")), None, Options(), tmp_path / "plain").notes


def test_palettes_are_their_values(tmp_path: Path) -> None:
    tiny = network(perceptron(), TensorSpec("x", (1, 4), "float32"))
    plan = make_plan(tiny, Request(named("w4a8-palette")))
    emission = tfjs.emit(tiny, plan, None, Options(), tmp_path / "out")
    assert emission.weights == "palette4"
    assert "no palettes" in emission.notes[0]
    assert "Activations are float32, not int8" in emission.notes[1]


def test_a_palette_that_no_weight_was_worth_is_not_claimed(tmp_path: Path) -> None:
    tiny = network(perceptron(), TensorSpec("x", (1, 4), "float32"))
    plan = make_plan(tiny, Request(named("w4-palette")))
    emission = tfjs.emit(tiny, plan, None, Options(), tmp_path / "out")
    assert emission.weights == "float16"
    assert "palette4 weights were asked for" in emission.notes[0]


def test_what_float16_cannot_hold_stays_float32(emit: Emit) -> None:
    mask = np.float32([[0, -1e9], [-1e9, 0]])
    tiny = network(lambda x: x @ weights(2, 2) + mask, TensorSpec("x", (2, 2), "float32"))
    kinds = sorted(str(w.get("quantization")) for w in manifest(emit(tiny, "fp16")).values())
    assert kinds == ["None", "{'dtype': 'float16', 'original_dtype': 'float32'}"]


def test_shards_are_of_four_megabytes(emit: Emit) -> None:
    kernel = weights(1200, 1000)
    path = emit(network(lambda x: x @ kernel, TensorSpec("x", (1, 1200), "float32")))
    sizes = sorted((p.stat().st_size for p in path.glob("*.bin")), reverse=True)
    assert sizes == [4 * 1024 * 1024, 4_800_000 - 4 * 1024 * 1024]


def test_metadata_travels_in_model_json(emit: Emit) -> None:
    tiny = network(perceptron(), TensorSpec("x", (1, 4), "float32"))
    tiny = tiny.described(labels=("cat", "dog", "cow"), preprocessing=Preprocessing(mean=(127.5,)))
    path = emit(tiny)
    written = json.loads((path / "model.json").read_text())["userDefinedMetadata"]
    assert written["labels"] == ["cat", "dog", "cow"]
    assert Preprocessing.from_json(written["preprocessing"]) == tiny.preprocessing
    assert written["source"] == "tiny.keras"
    assert written["source_sha256"] == "ab" * 32
    assert written["mlc"] == __version__
    shown = tfjs.inspect(path).metadata
    assert json.loads(shown["labels"]) == ["cat", "dog", "cow"]
    assert shown["convertedBy"] == "TensorFlow.js Converter v4.22.0"


def test_unsupported_ops_are_named(emit: Emit) -> None:
    import tensorflow as tf

    def call(x: Any) -> Any:
        return tf.math.lgamma(tf.math.betainc(x, x, x))

    with pytest.raises(UnsupportedError, match=r"^TF\.js has no Betainc, Lgamma\."):
        emit(network(call, TensorSpec("x", (1, 4), "float32")))


def test_an_input_that_nothing_reads_stays(emit: Emit) -> None:
    spare = TensorSpec("spare", (1, 2), "int32")
    path = emit(network(lambda x, _: x * 2, TensorSpec("x", (1, 2), "float32"), spare))
    assert [s.name for s in tfjs.inspect(path).inputs] == ["x", "spare"]
    runtime = tfjs.open(path)
    found = runtime.run({"x": np.ones((1, 2)), "spare": np.zeros((1, 2))})
    runtime.close()
    assert found["scores"].tolist() == [[2, 2]]


_EMIT_AGAIN = """
import sys
from pathlib import Path
from mlc.convert.network import Network
from mlc.optimize.optimize import Request, make_plan
from mlc.optimize.recipe import named
from mlc.targets import tfjs
from mlc.targets.target import Options
network = Network.load(Path(sys.argv[1]))
plan = make_plan(network, Request(named("int8")))
tfjs.emit(network, plan, None, Options(), Path(sys.argv[2]))
"""


def test_same_bytes_in_another_process(emit: Emit, tmp_path: Path) -> None:
    """Hash seeds differ between processes; protobuf maps and sets must not show."""
    import tensorflow as tf

    kernel, depthwise = weights(3, 3, 4, 6), weights(3, 3, 6, 1)

    def call(x: Any) -> Any:
        x = tf.nn.relu6(tf.nn.conv2d(x, kernel, 1, "SAME") + weights(6))
        x = tf.nn.depthwise_conv2d(x, depthwise, [1, 1, 1, 1], "SAME")
        return tf.while_loop(
            lambda i, _: i < 3, lambda i, y: (i + 1, tf.tanh(y) * 1.5), (tf.constant(0), x)
        )[1]

    tiny = network(call, IMAGE)
    tiny.save(tmp_path)
    subprocess.run(
        [sys.executable, "-c", _EMIT_AGAIN, str(tmp_path), str(tmp_path / "again")],
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        capture_output=True,
    )
    assert tree_digest(emit(tiny, "int8")) == tree_digest(tmp_path / "again")
