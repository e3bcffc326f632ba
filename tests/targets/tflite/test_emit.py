"""What is in the file: names, signature, metadata, precision, the same bytes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.network import Network, TensorSpec
from mlc.convert.preprocessing import Preprocessing
from mlc.errors import UnsupportedError
from mlc.optimize.optimize import Request, make_plan, simplify
from mlc.optimize.recipe import named
from mlc.optimize.simulate import simulate
from mlc.targets import tflite
from mlc.targets.target import Emission, Options
from mlc.targets.tflite import flatbuffer
from mlc.targets.tflite.census import count
from mlc.targets.tflite.convert import _refuse_state
from tests.targets.tflite.conftest import calibration_of, network_of, noise, write

Freeze = Callable[..., Network]
Emit = Callable[..., Emission]

X = TensorSpec("x", (1, 6), "float32")


@pytest.mark.parametrize("recipe", ["fp32", "int8"])
def test_tensors_and_signature_have_the_networks_names(
    recipe: str, frozen: Freeze, emit: Emit
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    network = frozen("two_in_two_out")
    interpreter = Interpreter(model_path=str(emit("two_in_two_out", recipe).path))
    assert [d["name"] for d in interpreter.get_input_details()] == [s.name for s in network.inputs]
    assert [d["name"] for d in interpreter.get_output_details()] == [
        s.name for s in network.outputs
    ]
    (signature,) = interpreter.get_signature_list().values()
    assert set(signature["inputs"]) == {"left", "right"}

    feeds = noise(network)
    results = interpreter.get_signature_runner("serving_default")(**feeds)
    assert set(results) == {s.name for s in network.outputs}


def test_a_tensor_that_is_two_outputs_goes_by_both_names(tmp_path: Path) -> None:
    network = network_of(lambda t: {"a": t["x"] * 2, "b": t["x"] * 2, "same": t["x"]}, X)
    emission = write(network, tmp_path)
    feeds = noise(network)
    with closing(tflite.open(emission.path)) as runtime:
        assert [s.name for s in runtime.outputs] == ["a", "b", "same"]
        results = runtime.run(feeds)
    np.testing.assert_array_equal(results["a"], feeds["x"] * 2)
    np.testing.assert_array_equal(results["b"], results["a"])
    np.testing.assert_array_equal(results["same"], feeds["x"])


def test_description_and_metadata_say_where_the_file_comes_from(tmp_path: Path) -> None:
    network = network_of(lambda t: {"y": t["x"] * 2}, X).described(
        labels=("kitten", "Käse"), preprocessing=Preprocessing(color="bgr", scale=0.5)
    )
    path = write(network, tmp_path).path
    metadata = tflite.inspect(path).metadata
    assert metadata["name"] == "tiny"
    assert metadata["license"] == "MIT"
    assert metadata["source_sha256"] == "c0ffee"
    assert json.loads(metadata["labels"]) == ["kitten", "Käse"]
    stored = Preprocessing.from_json(json.loads(metadata["preprocessing"]))
    assert stored == network.preprocessing

    description = flatbuffer.parse(path.read_bytes()).description.decode()
    for part in ("tiny 2.0.0", "A. Tester", "MIT", "c0ffee", "Says what", "mlc"):
        assert part in description


def test_constants_stay_aligned(emit: Emit) -> None:
    """XNNPACK reads weights in place; the object API forgets the schema's alignment of 16."""
    from ai_edge_litert import schema_py_generated as schema

    data = emit("cnn", "int8").path.read_bytes()
    model = schema.Model.GetRootAs(data, 0)
    vectors = [model.Buffers(i) for i in range(model.BuffersLength())]
    starts = [b._tab.Vector(4) for b in vectors if b.DataLength() >= 16]
    assert len(starts) > 5
    assert all(start % 16 == 0 for start in starts)


def test_same_bytes_in_another_process(frozen: Freeze, emit: Emit, tmp_path: Path) -> None:
    frozen("cnn", 1).save(tmp_path)
    script = (
        "import sys, pathlib\n"
        "from mlc.convert.network import Network\n"
        "from tests.targets.tflite.conftest import calibration_of, write\n"
        "network = Network.load(pathlib.Path(sys.argv[1]))\n"
        "for recipe in sys.argv[2:]:\n"
        "    folder = pathlib.Path(sys.argv[1], recipe)\n"
        "    folder.mkdir()\n"
        "    write(network, folder, recipe, calibration=calibration_of(network))\n"
    )
    recipes = ["int8", "fp32", "fp16"]
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), *recipes], check=True, capture_output=True
    )
    for recipe in recipes:
        assert _sha(emit("cnn", recipe).path) == _sha(tmp_path / recipe / "a.tflite"), recipe


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("recipe", "calibrated", "weights", "activations"),
    [
        ("fp32", True, "float32", "float32"),
        ("fp16", True, "float16", "float32"),
        ("int8", True, "int8", "int8"),
        ("int8", False, "int8", "float32"),
    ],
)
def test_precision_is_what_the_file_holds(
    recipe: str, calibrated: bool, weights: str, activations: str, emit: Emit
) -> None:
    emission = emit("cnn", recipe, 1, calibrated)
    assert (emission.weights, emission.activations) == (weights, activations)
    model = flatbuffer.parse(emission.path.read_bytes())
    kinds = {
        flatbuffer.type_name(t.type)
        for t in model.subgraphs[0].tensors
        if flatbuffer.constant(model, t) and t.shape is not None and len(t.shape) == 4
    }
    assert weights in kinds
    assert bool(emission.notes) == (recipe != "fp32")


def test_parameters_are_the_same_in_every_precision(emit: Emit) -> None:
    counts = {tflite.inspect(emit("cnn", r).path).parameters for r in ("fp32", "fp16", "int8")}
    assert len(counts) == 1


def test_weights_too_small_to_compress_are_said_to_be_float(tmp_path: Path) -> None:
    import tensorflow as tf

    kernel = tf.constant(np.eye(6, dtype="float32") + 0.1)
    network = network_of(lambda t: {"y": tf.matmul(t["x"], kernel)}, X)
    emission = write(network, tmp_path, "int8-weights")
    assert emission.precision == "float32"
    assert "1,024" in emission.notes[0]


def test_operations_that_stay_float_are_named(tmp_path: Path) -> None:
    import tensorflow as tf

    kernel = tf.constant(np.random.default_rng(0).normal(size=(6, 6)).astype("float32"))
    network = network_of(lambda t: {"y": tf.cumsum(tf.matmul(t["x"], kernel), axis=1)}, X)
    emission = write(network, tmp_path, "int8", calibration=calibration_of(network))
    assert emission.activations == "int8"
    assert any("CUMSUM" in note for note in emission.notes)


def test_a_scale_that_a_kernel_overrules_is_told(emit: Emit) -> None:
    """TANH writes steps of 1/128; what is concatenated with it has another scale."""
    notes = emit("two_in_two_out", "int8").notes
    (note,) = [n for n in notes if "another scale than the plan's" in n]
    assert note.startswith("1 of 10 integer activations")
    assert "Tanh" in note


def test_each_input_gets_its_own_range(tmp_path: Path) -> None:
    """Ranges that differ by 1,000: swapped, the larger input would be cut off."""
    import tensorflow as tf

    network = network_of(
        lambda t: {"y": tf.concat([t["zeta"] * 2.0, t["alpha"] * 0.002], 1)},
        TensorSpec("zeta", (1, 5), "float32"),
        TensorSpec("alpha", (1, 5), "float32"),
    )

    def feeds(seed: int) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
        rng = np.random.default_rng(seed)
        return {
            "alpha": rng.uniform(-1000, 1000, (1, 5)).astype("float32"),
            "zeta": rng.uniform(-1, 1, (1, 5)).astype("float32"),
        }

    emission = write(network, tmp_path, "int8", calibration=lambda: map(feeds, range(50)))
    assert emission.activations == "int8"
    with closing(tflite.open(emission.path)) as runtime:
        for seed in range(100, 105):
            expected = Reference(network).run(feeds(seed))["y"]
            np.testing.assert_allclose(runtime.run(feeds(seed))["y"], expected, atol=0.1)


def test_integer_kernels_everywhere_but_in_the_softmax_that_the_plan_keeps(emit: Emit) -> None:
    census = count(flatbuffer.parse(emit("cnn", "int8").path.read_bytes()))
    assert census.float_ops == ("SOFTMAX",)
    assert census.op_count > 5
    assert census.float_parameters == 0


@pytest.mark.parametrize("recipe", ["int8", "int8-weights", "w4", "w8a16"])
@pytest.mark.parametrize("name", ["cnn", "nested", "unet"])
def test_a_file_computes_what_the_plan_means(
    name: str, recipe: str, frozen: Freeze, tmp_path: Path
) -> None:
    """Scales, zero points and integers are the plan's: kernels differ in the rounding of sums only."""
    network, _ = simplify(frozen(name))
    plan = make_plan(network, Request(named(recipe), calibration_of(network)))
    path = tmp_path / "a.tflite"
    tflite.emit(network, plan, None, Options(), path)
    original, simulated = Reference(network), Reference(simulate(network, plan))
    with closing(tflite.open(path)) as runtime:
        for seed in range(100, 104):
            feeds = noise(network, seed=seed)
            for output, meant in simulated.run(feeds).items():
                span = np.ptp(original.run(feeds)[output])
                off = np.abs(runtime.run(feeds)[output] - meant).max()
                assert off <= 0.02 * span, (output, off, span)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_loops_stay_float_and_say_so(name: str, emit: Emit) -> None:
    """The converter's own calibration ends the process with a segmentation fault."""
    emission = emit(name, "int8")
    assert any("loops" in note for note in emission.notes)


def test_a_missing_operation_is_named_in_a_sentence(tmp_path: Path) -> None:
    import tensorflow as tf

    network = network_of(lambda t: {"y": tf.math.erfinv(t["x"]) + tf.math.erf(t["x"])}, X)
    with pytest.raises(UnsupportedError, match="Erf, Erfinv") as caught:
        write(network, tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.tflite").exists()


def test_recurrence_with_an_open_batch_says_which_flag_closes_it(
    frozen: Freeze, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedError, match="--batch 1"):
        write(frozen("lstm", batch=None), tmp_path)


def test_state_is_refused() -> None:
    import tensorflow as tf

    class Counter(tf.Module):
        def __init__(self) -> None:
            self.total = tf.Variable(tf.zeros((1, 6)))

        @tf.function(input_signature=[tf.TensorSpec((1, 6))])
        def __call__(self, x: tf.Tensor) -> tf.Tensor:
            return self.total.assign_add(x)

    counter = Counter()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [counter.__call__.get_concrete_function()], counter
    )
    converter.experimental_enable_resource_variables = True
    with pytest.raises(UnsupportedError, match="VAR_HANDLE"):
        _refuse_state(flatbuffer.parse(converter.convert()))


def test_equal_vectors_are_written_once() -> None:
    """A zero point of 8 bytes for each channel would be a tenth of a quantized file."""
    from ai_edge_litert import schema_py_generated as schema

    def size(zero_points: int) -> int:
        tensors = []
        for i in range(20):
            tensor = schema.TensorT()
            tensor.name, tensor.shape, tensor.buffer = f"t{i}".encode(), [1], 0
            tensor.quantization = flatbuffer.quantization(np.full(zero_points, i + 1.0))
            tensors.append(tensor)
        graph = schema.SubGraphT()
        graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, [], [], []
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
        model.operatorCodes = []
        data = flatbuffer.serialize(model)
        read = flatbuffer.parse(data).subgraphs[0].tensors
        assert [float(t.quantization.scale[0]) for t in read] == [i + 1.0 for i in range(20)]
        assert all(len(t.quantization.zeroPoint) == zero_points for t in read)
        return len(data)

    assert size(1000) - size(1) < 20 * 4 * 1000 + 8 * 1000 + 1000
