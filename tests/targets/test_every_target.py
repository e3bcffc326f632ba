"""What is demanded of every target. A new room in the registry is tested by being there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mlc import targets
from mlc.convert.execute import Reference
from mlc.convert.freeze import freeze
from mlc.convert.metadata import facts_of, from_texts
from mlc.convert.network import Description, Network, Provenance, TensorSpec
from mlc.convert.preprocessing import Preprocessing
from mlc.data.dataset import Calibration, batches
from mlc.data.synthesized import synthesize
from mlc.errors import MlcError
from mlc.optimize.optimize import Request, make_plan, simplify
from mlc.optimize.recipe import named
from mlc.store import tree_digest
from mlc.targets.target import Emission, Options
from mlc.validate.compare import Comparison, compare, record
from mlc.validate.declared import check_declared
from mlc.validate.judge import judge
from tests import networks

Freeze = Callable[..., Network]


@dataclass(frozen=True)
class Artifact:
    target: str
    network: Network
    emission: Emission


@pytest.fixture(params=targets.NAMES)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def emit(target: str, tmp_path: Path) -> Callable[..., Artifact]:
    def emit(network: Network, recipe: str = "fp32", calibrated: bool = False) -> Artifact:
        room = targets.target(target)
        dataset = synthesize(network, 8)
        calibration = Calibration(dataset, network, 8) if calibrated else None
        path = tmp_path / f"{network.description.name}-{recipe}{room.SUFFIX}"
        simpler, _ = simplify(network)  # as a build does
        plan = make_plan(simpler, Request(named(recipe), calibration))
        emission = room.emit(simpler, plan, calibration, Options(), path)
        return Artifact(target, network, emission)

    return emit


def compared(artifact: Artifact, tmp_path: Path, samples: int = 6) -> Comparison:
    dataset = synthesize(artifact.network, samples)
    references = tmp_path / "references"
    references.mkdir()
    record(Reference(artifact.network), artifact.network, dataset, references)
    with closing(targets.target(artifact.target).open(artifact.emission.path)) as runtime:
        return compare(runtime, artifact.network, dataset, references)


@pytest.mark.parametrize("name", networks.BUILDERS)
def test_float32_equals_the_network(
    name: str, frozen: Freeze, emit: Callable[..., Artifact], tmp_path: Path
) -> None:
    artifact = emit(frozen(name))
    found = compared(artifact, tmp_path)
    assert found.variation > 1e-3, "the reference does not vary: this test would prove nothing"
    checks = judge(found, artifact.emission.weights, artifact.emission.activations)
    assert [c.state for c in checks] == ["passed", "passed"], checks
    assert artifact.emission.precision == "float32"


def test_the_mean_of_an_even_map_has_six_digits(emit: Callable[..., Artifact]) -> None:
    """Sums of one number after the other are wrong in the fourth digit here: see `mean_by_rows`."""
    import tensorflow as tf

    network = freeze(
        lambda feeds: {"y": tf.reduce_mean(tf.nn.relu(feeds["x"]), [1, 2])},
        [TensorSpec("x", (1, 112, 112, 8), "float32")],
        Provenance("x", "test", "0" * 64),
        Description("mean"),
    )
    even = np.random.default_rng(0).uniform(2, 3, 8).astype(np.float32)
    x = np.broadcast_to(even, (1, 112, 112, 8))
    artifact = emit(network)
    with closing(targets.target(artifact.target).open(artifact.emission.path)) as runtime:
        np.testing.assert_allclose(runtime.run({"x": x})["y"][0], even, rtol=5e-6)


@pytest.mark.parametrize("recipe", ["fp16", "int8"])
@pytest.mark.parametrize("name", ["cnn", "two_in_two_out", "text"])
def test_smaller_recipes_are_smaller_and_right(
    name: str, recipe: str, frozen: Freeze, emit: Callable[..., Artifact], tmp_path: Path
) -> None:
    artifact = emit(frozen(name), recipe, calibrated=True)
    found = compared(artifact, tmp_path)
    checks = judge(found, artifact.emission.weights, artifact.emission.activations)
    assert {c.state for c in checks} == {"passed"}, checks
    assert artifact.emission.weights == {"fp16": "float16", "int8": "int8"}[recipe]
    assert found.parity.worst.max_relative > 0, "bit-equal: nothing was compressed"


def test_int8_without_data_keeps_activations_in_float(
    frozen: Freeze, emit: Callable[..., Artifact], tmp_path: Path
) -> None:
    artifact = emit(frozen("cnn"), "int8", calibrated=False)
    assert artifact.emission.weights == "int8"
    assert artifact.emission.activations != "int8"
    assert artifact.emission.notes, "the user must be told"
    assert compared(artifact, tmp_path).parity.agreement is not None


@pytest.mark.parametrize("name", ["two_in_two_out", "cnn", "text"])
def test_names_survive(name: str, frozen: Freeze, emit: Callable[..., Artifact]) -> None:
    network = frozen(name)
    artifact = emit(network)
    with closing(targets.target(artifact.target).open(artifact.emission.path)) as runtime:
        assert {s.name for s in runtime.inputs} == {s.name for s in network.inputs}
        assert {s.name for s in runtime.outputs} == {s.name for s in network.outputs}
        assert {s.name: s.shape for s in runtime.inputs} == {
            s.name: s.shape for s in network.inputs
        }


@pytest.mark.parametrize("recipe", ["fp32", "int8"])
def test_same_input_same_bytes(
    recipe: str, target: str, frozen: Freeze, emit: Callable[..., Artifact]
) -> None:
    first = emit(frozen("cnn"), recipe, calibrated=True).emission.path
    digest = tree_digest(first)
    shutil.rmtree(first) if first.is_dir() else first.unlink()
    assert tree_digest(emit(frozen("cnn"), recipe, calibrated=True).emission.path) == digest


def test_open_batch_runs_at_any_batch(frozen: Freeze, emit: Callable[..., Artifact]) -> None:
    network = frozen("cnn", batch=None)
    artifact = emit(network)
    rng = np.random.default_rng(0)
    with closing(targets.target(artifact.target).open(artifact.emission.path)) as runtime:
        for size in (1, 3):
            feeds = {"image": rng.normal(size=(size, 24, 24, 3)).astype("float32")}
            expected = Reference(network).run(feeds)["scores"]
            np.testing.assert_allclose(runtime.run(feeds)["scores"], expected, atol=1e-4)


def test_what_is_emitted_is_recognised_and_inspected(
    target: str, frozen: Freeze, emit: Callable[..., Artifact]
) -> None:
    network = frozen("cnn")
    path = emit(network).emission.path
    assert targets.recognise(path) == target
    summary = targets.target(target).inspect(path)
    assert {s.name for s in summary.inputs} == {"image"}
    assert {s.name for s in summary.outputs} == {"scores"}
    assert sum(summary.ops.values()) > 5
    assert 0.5 < summary.parameters / network.parameters < 1.5
    assert summary.weights == "float32"
    assert network.provenance.sha256 in " ".join(summary.metadata.values())


def test_a_truncated_artifact_is_refused(
    target: str, frozen: Freeze, emit: Callable[..., Artifact]
) -> None:
    path = emit(frozen("cnn")).emission.path
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    largest = max(files, key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 3])
    with pytest.raises(MlcError) as caught:
        open_and_run(target, path, frozen("cnn"))
    assert "\n" not in str(caught.value).strip()


def open_and_run(target: str, path: Path, network: Network) -> None:
    with closing(targets.target(target).open(path)) as runtime:
        feeds, _ = next(batches(synthesize(network, 2), network))
        runtime.run(feeds)


def test_foreign_files_are_not_recognised(target: str, tmp_path: Path) -> None:
    room = targets.target(target)
    (tmp_path / "notes.txt").write_text("hello")
    assert not room.recognises(tmp_path / "notes.txt")
    assert not room.recognises(tmp_path)
    assert not room.recognises(tmp_path / "missing")


def test_a_planted_fault_is_caught(
    frozen: Freeze, emit: Callable[..., Artifact], tmp_path: Path
) -> None:
    """An artifact of other weights must fail against this network: the check can fail."""
    artifact = emit(frozen("cnn"))
    other = networks.make("cnn")
    kernel, bias = other.get_layer("scores").get_weights()
    other.get_layer("scores").set_weights([kernel, bias + 0.01 * np.arange(5)])
    from mlc.convert.network import Description
    from mlc.convert.read import ReadOptions, from_model

    changed = from_model(other, Description("cnn"), ReadOptions())
    found = compared(Artifact(artifact.target, changed, artifact.emission), tmp_path)
    assert judge(found, "float32", "float32")[-1].state == "failed"


def test_it_says_of_itself_what_was_declared(
    target: str, frozen: Freeze, emit: Callable[..., Artifact]
) -> None:
    network = frozen("cnn").described(
        labels=("a", "b", "ç", "d", "e"),
        preprocessing=Preprocessing(scale=1 / 255, mean=(0.4, 0.5, 0.6), std=(0.2,)),
    )
    path = emit(network).emission.path
    declared = facts_of(network)
    (check,) = check_declared(targets.target(target).declares(path), declared, network)
    assert check.state == "passed", check.detail
    whole = [s for s in targets.target(target).declares(path) if s.whole]
    assert [s.facts for s in whole] == [declared]
    (other,) = check_declared(whole, {**declared, "labels": ["a"]}, network)
    assert other.state == "failed"
    shown = targets.target(target).inspect(path).metadata
    assert from_texts(shown) == declared
