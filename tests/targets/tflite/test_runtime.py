"""LiteRT behind our doors: foreign files, integers, open dimensions, files that are none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.network import Network, TensorSpec
from mlc.errors import DataError, SourceError, UnverifiableError
from mlc.targets import tflite
from mlc.targets.target import Emission
from mlc.targets.tflite import flatbuffer
from tests.targets.tflite.conftest import network_of, noise, write

Freeze = Callable[..., Network]
Emit = Callable[..., Emission]


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_integer_inputs_and_outputs_are_real_numbers_outside(
    kind: str, frozen: Freeze, tmp_path: Path
) -> None:
    import tensorflow as tf

    from mlc.convert.execute import concrete_function

    network = frozen("cnn")
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete_function(network)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [noise(network, 1, s)["image"] * 60 + 128] for s in range(32)
    )
    converter.inference_input_type = converter.inference_output_type = tf.as_dtype(kind)
    path = tmp_path / "foreign.tflite"
    path.write_bytes(converter.convert())

    feeds = {"image": noise(network, 1, 99)["image"] * 60 + 128}
    with closing(tflite.open(path)) as runtime:
        assert [s.dtype for s in (*runtime.inputs, *runtime.outputs)] == [kind, kind]
        (name,) = (s.name for s in runtime.outputs)
        result = runtime.run(feeds)[name]
        saturated = runtime.run({"image": np.full((1, 24, 24, 3), 1e9, "float32")})[name]
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, Reference(network).run(feeds)["scores"], atol=0.05)
    assert np.isfinite(saturated).all()


@pytest.mark.parametrize("file", ["vww_96", "kws_ref_model", "pretrainedResnet", "ad01"])
def test_files_of_others_run(file: str, shared: Path) -> None:
    """MLPerf Tiny's own conversions, float beside int8 where there are both."""
    folder = shared / "models" / "mlperf_tiny"
    results = []
    for path in sorted(folder.glob(f"{file}*.tflite")):
        summary = tflite.inspect(path)
        with closing(tflite.open(path)) as runtime:
            assert summary.inputs == runtime.inputs
            assert summary.outputs == runtime.outputs
            assert not any(":" in s.name for s in runtime.inputs)
            shape = [d or 1 for d in runtime.inputs[0].shape]
            high = 255 if file == "pretrainedResnet" else 1
            feeds = {runtime.inputs[0].name: np.random.default_rng(0).uniform(0, high, shape)}
            (result,) = runtime.run(feeds).values()
        results.append(result)
        assert result.dtype == np.float32
        assert np.isfinite(result).all()
    assert results
    if len(results) == 2:
        np.testing.assert_allclose(results[0], results[1], atol=0.15)


def test_open_batch_follows_the_feeds_up_and_down(frozen: Freeze, emit: Emit) -> None:
    network = frozen("cnn", None)
    reference = Reference(network)
    with closing(tflite.open(emit("cnn", "fp32", None).path)) as runtime:
        assert runtime.inputs == network.inputs
        for size in (1, 4, 2, 1):
            feeds = noise(network, size, size)
            expected = reference.run(feeds)["scores"]
            np.testing.assert_allclose(runtime.run(feeds)["scores"], expected, atol=1e-5)


def test_a_batch_that_does_not_fit_is_the_callers_error(emit: Emit) -> None:
    with closing(tflite.open(emit("cnn", "fp32").path)) as runtime:
        with pytest.raises(DataError, match=r"image 1×24×24×3 float32.*3×24×24×3"):
            runtime.run({"image": np.zeros((3, 24, 24, 3), "float32")})
        with pytest.raises(DataError, match="Nothing is fed to the input image"):
            runtime.run({"picture": np.zeros((1, 24, 24, 3), "float32")})


def test_feeds_are_cast_to_the_type_of_the_tensor(frozen: Freeze, emit: Emit) -> None:
    feeds = noise(frozen("text"))
    with closing(tflite.open(emit("text", "fp32").path)) as runtime:
        wide = runtime.run({"tokens": feeds["tokens"].astype("int64")})
        np.testing.assert_array_equal(wide["mood"], runtime.run(feeds)["mood"])


def test_results_are_copies(frozen: Freeze, emit: Emit) -> None:
    network = frozen("cnn")
    with closing(tflite.open(emit("cnn", "fp32").path)) as runtime:
        first = runtime.run(noise(network, seed=1))["scores"]
        kept = first.copy()
        runtime.run(noise(network, seed=2))
        np.testing.assert_array_equal(first, kept)


def test_scalars_and_integers_pass(tmp_path: Path) -> None:
    import tensorflow as tf

    network = network_of(
        lambda t: {"y": tf.cast(t["n"], "float32") * t["x"], "more": t["n"] + 1},
        TensorSpec("n", (), "int32"),
        TensorSpec("x", (1, 3), "float32"),
    )
    with closing(tflite.open(write(network, tmp_path).path)) as runtime:
        results = runtime.run({"n": np.asarray(2), "x": np.ones((1, 3), "float32")})
    assert results["more"] == 3
    np.testing.assert_array_equal(results["y"], [[2, 2, 2]])


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_file_cut_short_is_refused(share: float, emit: Emit, tmp_path: Path) -> None:
    data = emit("cnn", "int8").path.read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(data[: int(len(data) * share)])
    for door in (tflite.open, tflite.inspect):
        with pytest.raises(SourceError, match="TFLite"):
            door(path)


def test_another_file_is_no_tflite(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(SourceError, match="TFL3"):
        tflite.open(path)
    with pytest.raises(SourceError, match="cannot be read"):
        tflite.open(tmp_path / "missing.tflite")


@pytest.mark.parametrize(("name", "told"), [("FlexErf", "for Erf"), ("Sparkle", "Sparkle")])
def test_custom_operations_are_inspected_and_not_verified(
    name: str, told: str, emit: Emit, tmp_path: Path
) -> None:
    model = flatbuffer.parse(emit("cnn", "fp32").path.read_bytes())
    first = model.subgraphs[0].operators[0]
    first.builtinOptionsType, first.builtinOptions = 0, None
    code = model.operatorCodes[first.opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = 32  # CUSTOM
    code.customCode = name
    path = tmp_path / "custom.tflite"
    path.write_bytes(flatbuffer.serialize(model))
    assert f"custom:{name}" in tflite.inspect(path).ops
    with pytest.raises(UnverifiableError, match=told) as caught:
        tflite.open(path)
    assert "\n" not in str(caught.value)
