"""What is in a package: names, types, metadata, versions, the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.network import Network, TensorSpec
from mlc.errors import SourceError, UnsupportedError, UnverifiableError, UsageError
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import named
from mlc.store import tree_digest
from mlc.targets import coreml
from mlc.targets.coreml import package
from mlc.targets.target import Emission, Options
from tests.targets.coreml.test_rewrites import network_of

Freeze = Callable[..., Network]


@pytest.fixture(scope="module")
def emit(
    frozen: Freeze, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[Emission, Any]]:
    """A package of a network of `tests/networks.py`, and its protobuf; each made once."""

    @cache
    def build(name: str, recipe: str, ios: int = 16) -> tuple[Emission, Any]:
        path = tmp_path_factory.mktemp("emit") / f"{name}.mlpackage"
        emission = coreml.emit(frozen(name), Plan(named(recipe)), None, Options(ios=ios), path)
        return emission, package.read_spec(path)

    return build


@pytest.mark.parametrize(("ios", "version"), [(15, 6), (16, 7), (17, 8), (18, 9)])
def test_every_ios_loads_in_coremltools(ios: int, version: int, emit: Callable[..., Any]) -> None:
    emission, _ = emit("cnn", "fp16", ios)
    import coremltools

    assert coremltools.utils.load_spec(str(emission.path)).specificationVersion == version


def test_an_unknown_ios_is_a_usage_error(frozen: Freeze, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="iOS 14"):
        coreml.emit(
            frozen("cnn"), Plan(named("fp32")), None, Options(ios=14), tmp_path / "a.mlpackage"
        )


@pytest.mark.parametrize("recipe", ["fp32", "fp16", "int8"])
def test_names_are_the_networks_and_types_fit_every_precision(
    recipe: str, frozen: Freeze, emit: Callable[..., Any]
) -> None:
    network = frozen("two_in_two_out")
    emission, _ = emit("two_in_two_out", recipe)
    summary = coreml.inspect(emission.path)
    assert summary.inputs == network.inputs
    assert set(summary.outputs) == set(network.outputs)


def test_precision_is_what_it_became(emit: Callable[..., Any]) -> None:
    plain, half, small = (emit("cnn", r)[0] for r in ("fp32", "fp16", "int8"))
    assert (plain.precision, half.precision) == ("float32", "float16")
    assert (small.weights, small.activations) == ("int8", "float16")
    assert small.notes[0] == "Weights are int8, activations float16: integer ones need --ios 17."
    assert [coreml.inspect(e.path).weights for e in (plain, half, small)] == [
        "float32",
        "float16",
        "int8",
    ]
    counted = {coreml.inspect(e.path).parameters for e in (plain, half, small)}
    assert max(counted) - min(counted) < 0.05 * max(counted)


def test_int8_on_ios_15_says_that_it_cannot(emit: Callable[..., Any]) -> None:
    emission, _ = emit("cnn", "int8", 15)
    assert emission.precision == "float16"
    assert "--ios 16" in " ".join(emission.notes)


def test_int8_weights_are_close_to_the_networks(
    emit: Callable[..., Any],
) -> None:
    emission, _ = emit("cnn", "int8", 18)
    kinds = coreml.inspect(emission.path).ops
    assert kinds["constexpr_blockwise_shift_scale"] >= 3


def test_metadata_tells_where_it_came_from(frozen: Freeze, emit: Callable[..., Any]) -> None:
    network = frozen("cnn")
    _, spec = emit("cnn", "fp32")
    metadata = spec.description.metadata
    assert metadata.shortDescription == network.description.name
    assert metadata.author == "A. Tester"
    assert metadata.versionString == network.description.version
    fields = metadata.userDefined
    assert fields["mlc.source_sha256"] == network.provenance.sha256
    assert json.loads(fields["mlc.network"])["inputs"][0]["name"] == "image"
    assert not any("date" in key for key in fields)


def test_the_same_bytes_in_another_process(
    frozen: Freeze, emit: Callable[..., Any], tmp_path: Path
) -> None:
    builds = {"lstm": "fp32", "cnn": "int8"}
    for name in builds:
        (tmp_path / name).mkdir()
        frozen(name).save(tmp_path / name)
    script = (
        "import sys; from pathlib import Path; from mlc.convert.network import Network;"
        "from mlc.optimize.plan import Plan; from mlc.optimize.recipe import named;"
        "from mlc.targets import coreml;"
        "from mlc.targets.target import Options;"
        "[coreml.emit(Network.load(Path(folder)), Plan(named(recipe)), None, Options(),"
        " Path(folder) / 'again.mlpackage')"
        " for folder, recipe in (a.split('=') for a in sys.argv[1:])]"
    )
    arguments = [f"{tmp_path / name}={recipe}" for name, recipe in builds.items()]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, env=environment)
    import coremltools

    for name, recipe in builds.items():
        again = tmp_path / name / "again.mlpackage"
        assert tree_digest(again) == tree_digest(emit(name, recipe)[0].path)
        assert coremltools.utils.load_spec(str(again)).specificationVersion == 7


def test_an_open_batch_is_a_range(frozen: Freeze, tmp_path: Path) -> None:
    path = tmp_path / "open.mlpackage"
    coreml.emit(frozen("two_in_two_out", batch=None), Plan(named("fp32")), None, Options(), path)
    summary = coreml.inspect(path)
    assert {s.shape for s in summary.inputs} == {(None, 6)}
    sizes = package.read_spec(path).description.input[0].type.multiArrayType.shapeRange.sizeRanges
    assert (sizes[0].lowerBound, sizes[0].upperBound) == (1, 128)


def test_an_op_that_core_ml_lacks_is_named(tmp_path: Path) -> None:
    import tensorflow as tf

    network = network_of(
        lambda x: tf.math.lgamma(x) + tf.math.digamma(x), TensorSpec("x", (1, 4), "float32")
    )
    with pytest.raises(UnsupportedError, match="no equivalent of Digamma, Lgamma") as caught:
        coreml.emit(network, Plan(named("fp32")), None, Options(), tmp_path / "a.mlpackage")
    assert "\n" not in str(caught.value)


def test_what_coremltools_cannot_convert_is_one_sentence(tmp_path: Path) -> None:
    import tensorflow as tf

    network = network_of(
        lambda x: tf.raw_ops.CropAndResize(
            image=x, boxes=[[0.0, 0, 1, 1]], box_ind=[0], crop_size=[2, 2], method="nearest"
        ),
        TensorSpec("x", (1, 8, 8, 3), "float32"),
    )
    with pytest.raises(UnsupportedError, match="coremltools cannot convert") as caught:
        coreml.emit(network, Plan(named("fp32")), None, Options(), tmp_path / "a.mlpackage")
    assert "\n" not in str(caught.value)


def test_emitting_is_silent(
    frozen: Freeze, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    coreml.emit(frozen("audio"), Plan(named("int8")), None, Options(), tmp_path / "a.mlpackage")
    out, err = capfd.readouterr()
    assert not out
    assert "%|" not in err, "a progress bar"
    assert "coremltools" not in err


def test_a_mask_input_is_int32_and_runs(tmp_path: Path) -> None:
    import tensorflow as tf

    def masked(x: Any, mask: Any) -> Any:
        scores = tf.where(tf.logical_and(mask, x > -3), x, tf.float32.min)
        return tf.nn.softmax(scores)

    network = network_of(
        masked, TensorSpec("x", (2, 6), "float32"), TensorSpec("mask", (2, 6), "bool")
    )
    rng = np.random.default_rng(0)
    feeds = {"x": rng.normal(size=(2, 6)).astype("float32"), "mask": rng.random((2, 6)) > 0.3}
    expected = Reference(network).run(feeds)["y"]
    for recipe, tolerance in (("fp32", 1e-6), ("fp16", 2e-3)):
        path = tmp_path / f"{recipe}.mlpackage"
        emission = coreml.emit(network, Plan(named(recipe)), None, Options(), path)
        assert "Core ML has no bool input: mask is int32." in emission.notes
        with closing(coreml.open(path)) as runtime:
            assert runtime.inputs == network.inputs
            np.testing.assert_allclose(runtime.run(feeds)["y"], expected, atol=tolerance)


def test_recognises_packages_and_old_models(emit: Callable[..., Any], tmp_path: Path) -> None:
    emission, spec = emit("cnn", "fp32")
    assert coreml.recognises(emission.path)
    copy = tmp_path / "copy.mlpackage"
    shutil.copytree(emission.path, copy)
    (copy / "Manifest.json").unlink()
    assert not coreml.recognises(copy)

    old = tmp_path / "old.mlmodel"
    del spec.mlProgram.functions["main"]
    network = type(spec)()
    network.specificationVersion = 4
    network.neuralNetwork.layers.add().name = "only"
    old.write_bytes(network.SerializeToString())
    assert coreml.recognises(old)
    assert coreml.inspect(old).format == "Core ML neuralNetwork"
    with pytest.raises(UnverifiableError, match="neuralNetwork"):
        coreml.open(old)


def test_a_damaged_package_is_refused(emit: Callable[..., Any], tmp_path: Path) -> None:
    emission, _ = emit("cnn", "fp32")
    copy = tmp_path / "copy.mlpackage"
    shutil.copytree(emission.path, copy)
    model = copy / "Data" / "com.apple.CoreML" / "model.mlmodel"
    model.write_bytes(b"\xff" + model.read_bytes()[:100])
    with pytest.raises(SourceError):
        coreml.inspect(copy)
