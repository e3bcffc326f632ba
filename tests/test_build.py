"""The pipeline from a file to a bundle: real workers, real formats, real faults."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.bundle.manifest import read_manifest
from mlc.store import tree_digest
from mlc.workers import Workers
from tests import stand_in_stages
from tests.command import Built, mlc, python

pytestmark = pytest.mark.xdist_group("build")

WHOLE = ["build.log", "cnn.onnx", "cnn.tflite", "manifest.json", "plan.json", "report.json"]


@pytest.fixture
def no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("a worker was started")

    monkeypatch.setattr(Workers, "submit", refuse)


def rows(dist: Path) -> dict[str, Any]:
    report = json.loads((dist / "report.json").read_text())
    return {row["target"]: row for row in report["artifacts"]}


def names(folder: Path) -> list[str]:
    """All files but the golden cases, which have tests of their own (tests/bundle)."""
    files = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in files if not name.startswith("golden/"))


def test_a_build_makes_a_whole_bundle(built: Built) -> None:
    assert names(built.dist) == WHOLE
    assert [p.name for p in built.dist.parent.iterdir() if p.name.startswith(".")] == []
    manifest = read_manifest(built.dist)
    listed = [name for name in sorted(manifest["files"]) if not name.startswith("golden/")]
    assert listed == [name for name in WHOLE if name != "manifest.json"]
    for name, entry in manifest["files"].items():
        assert entry["sha256"] == hashlib.sha256((built.dist / name).read_bytes()).hexdigest()
    assert manifest["source"]["sha256"] == hashlib.sha256(built.source.read_bytes()).hexdigest()
    assert manifest["source"]["file"] == "cnn.keras"
    assert [a["state"] for a in manifest["artifacts"]] == ["verified", "verified"]
    assert manifest["inputs"] == [{"name": "image", "shape": [1, 24, 24, 3], "dtype": "float32"}]


def test_the_report_has_evidence_for_every_artifact(built: Built) -> None:
    found = rows(built.dist)
    assert list(found) == ["tflite", "onnx"]
    for row in found.values():
        assert row["state"] == "verified"
        assert row["parity"]["samples"] == 12
        assert row["parity"]["agreement"] == 1
        assert 0 < row["parity"]["outputs"][0]["max_relative"] < 1e-4
        assert row["accuracy"]["samples"] == 12
        assert row["accuracy"]["original"] == row["accuracy"]["artifact"]
        low, high = row["accuracy"]["original_interval"]
        assert low < row["accuracy"]["original"] < high
        assert row["latency"]["rounds"] >= 5
        assert row["runtime"]
        assert (row["weights"], row["activations"]) == ("float32", "float32")
        assert row["sha256"] == tree_digest(built.dist / row["file"])
        assert row["size"]["raw"] == (built.dist / row["file"]).stat().st_size


def test_a_person_sees_the_table_and_the_stages(built: Built) -> None:
    assert "✓ verified" in built.done.out
    assert "12 samples in data.npz" in built.done.out
    assert "n = 12 labelled samples (95 % interval)" in built.done.out
    for stage in (
        "read the source",
        "run the original",
        "emit TFLite",
        "prove ONNX",
        "measure latency",
    ):
        assert stage in built.done.err
    assert "Traceback" not in built.done.err


@pytest.mark.usefixtures("no_workers")
def test_the_same_again_comes_from_the_cache(built: Built) -> None:
    before = tree_digest(built.dist / "cnn.tflite")
    again = built.again()
    assert again.code == 0
    assert again.out == built.done.out
    assert again.err.strip() == "", "no stage is worth a line"
    assert tree_digest(built.dist / "cnn.tflite") == before


def test_from_the_cache_tensorflow_is_not_imported(built: Built, tmp_path: Path) -> None:
    """One second of CPU is promised; twice that is still far below an import of TensorFlow."""
    arguments = ["mlc", "build", *built.arguments, "-o", str(tmp_path / "d")]
    code = f"""
import sys, time
from mlc.cli import main
sys.argv = {arguments}
try:
    main()
except SystemExit as leaving:
    print("code", leaving.code)
print("cpu", time.process_time())
print("heavy", sorted({{"tensorflow", "keras", "onnx", "h5py", "pebble"}} & set(sys.modules)))
"""
    done = python(code, tmp_path)
    assert "code 0" in done.out, done
    assert "heavy []" in done.out
    cpu = float(done.out.partition("cpu ")[2].split()[0])
    print(f"a build from the cache took {cpu:.2f} s of CPU")
    assert cpu < 2


def test_a_plan_is_repeated_and_knows_its_recipe(built: Built, tmp_path: Path) -> None:
    build = ["build", built.source, "-t", "tflite", "--no-cache"]
    first = mlc(*build, "--palettize", 4, "-o", tmp_path / "first")
    assert first.code == 0, first
    again = mlc(*build, "--plan", tmp_path / "first" / "plan.json", "-o", tmp_path / "again")
    assert again.code == 0, again
    (row,) = rows(tmp_path / "again").values()
    assert row["weights"] == "palette4"
    for name in ("cnn.tflite", "plan.json"):
        assert tree_digest(tmp_path / "first" / name) == tree_digest(tmp_path / "again" / name)


@pytest.mark.usefixtures("no_workers")
def test_a_broken_limit_is_exit_3_and_names_measured_and_allowed(
    built: Built, tmp_path: Path
) -> None:
    size = (built.dist / "cnn.tflite").stat().st_size
    done = built.again("--max-size", "tflite=10kB", "--min-agreement", "99", output=tmp_path / "d")
    assert done.code == 3
    assert f"tflite: regressed: size {size:,} bytes; allowed at most 10,000 bytes" in done.out
    found = rows(tmp_path / "d")
    assert (found["tflite"]["state"], found["onnx"]["state"]) == ("regressed", "verified")
    assert names(tmp_path / "d") == WHOLE, "right artifacts, though too large: they are delivered"


@pytest.mark.usefixtures("no_workers")
def test_limits_that_hold_are_exit_0(built: Built, tmp_path: Path) -> None:
    limits = ("--max-size", "1MB", "--min-agreement", "99", "--max-accuracy-drop", "0.5")
    done = built.again(*limits, output=tmp_path / "d")
    assert done.code == 0
    states = {c["name"]: c["state"] for c in rows(tmp_path / "d")["onnx"]["checks"]}
    assert states == dict.fromkeys(
        ["finite", "parity", "size", "agreement", "accuracy drop"], "passed"
    )


@pytest.mark.usefixtures("no_workers")
def test_json_is_the_report_and_nothing_else(built: Built, tmp_path: Path) -> None:
    done = built.again("--json", output=tmp_path / "d")
    assert json.loads(done.out) == json.loads((tmp_path / "d" / "report.json").read_text())


def test_one_failing_target_costs_nobody_else_anything(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One format cannot hold the network, one converter crashes its process, one emits other weights."""
    monkeypatch.setattr(importlib.import_module("mlc.build"), "emit", stand_in_stages.emit)
    dist = tmp_path / "dist"
    done = mlc("build", built.source, "-t", "all", "--data", built.data, "-o", dist)
    assert done.code == 1
    found = rows(dist)
    assert {name: row["state"] for name, row in found.items()} == {
        "coreml": "failed", "tflite": "verified", "onnx": "failed", "tfjs": "failed",
    }  # fmt: skip
    assert "coreml: Core ML has no Bessel function. Leave it out." in done.out
    assert (
        "tfjs: The process crashed while emitting TF.js (signal SIGSEGV). See build.log."
        in done.out
    )
    assert "onnx: failed: output 'scores' is off by " in done.out
    assert names(dist) == [
        "build.log", "cnn.tflite", "failed/cnn.onnx", "manifest.json", "plan.json", "report.json",
    ]  # fmt: skip
    assert found["onnx"]["file"] == "failed/cnn.onnx", "kept aside, to be looked at"
    assert [a["target"] for a in read_manifest(dist)["artifacts"]] == ["tflite", "onnx"]
    assert "Traceback" not in done.err


@pytest.fixture(scope="module")
def constant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that answers the same to everything, and is no classifier."""
    import keras

    folder = tmp_path_factory.mktemp("constant")
    x = keras.Input((4,), name="x")
    zeros = keras.layers.Dense(2, name="y", kernel_initializer="zeros", bias_initializer="ones")
    keras.Model(x, zeros(x)).save(folder / "constant.keras")
    return folder / "constant.keras"


def test_equal_outputs_that_prove_nothing_are_not_verified(constant: Path, tmp_path: Path) -> None:
    done = mlc("build", constant, "-t", "tflite", "-o", tmp_path / "dist")
    assert done.code == 0
    assert rows(tmp_path / "dist")["tflite"]["state"] == "emitted"
    assert "tflite: not verified: the network's own outputs hardly vary" in done.out
    assert "16 made-up inputs in -3 … 3 (no data given)" in done.out

    gated = mlc("build", constant, "-t", "tflite", "-o", tmp_path / "dist", "--min-agreement", "90")
    assert gated.code == 3, "what was not measured keeps no limit"
    assert (
        "regressed: agreement was not measured (parity is not verified); allowed at least 90 %"
        in gated.out
    )


@pytest.mark.usefixtures("no_workers")
def test_a_bundle_is_validated_by_its_manifest(built: Built) -> None:
    against = ("--against", built.source, "--data", built.data)
    done = mlc("validate", built.dist, *against)
    assert done.code == 0
    assert done.out.count("✓ verified") == 2
    gated = mlc("validate", built.dist, *against, "--max-size", "onnx=1kB")
    assert gated.code == 3
    assert "onnx: regressed: size" in gated.out


def test_an_artifact_alone_is_validated_too(built: Built, tmp_path: Path) -> None:
    shutil.copy(built.dist / "cnn.tflite", tmp_path / "renamed.tflite")
    against = ("--against", built.source, "--data", built.data)
    done = mlc("validate", tmp_path / "renamed.tflite", *against, "--json")
    (row,) = json.loads(done.out)["artifacts"]
    assert (done.code, row["state"], row["target"]) == (0, "verified", "tflite")
    assert row["latency"]["ratio"] > 0
    assert row["file"] == str(tmp_path / "renamed.tflite")


def tamper(dist: Path) -> str:
    content = bytearray((dist / "cnn.tflite").read_bytes())
    content[-1] ^= 1
    (dist / "cnn.tflite").write_bytes(content)
    return "cnn.tflite is not the file that manifest.json describes: it was changed"


def tamper_with_the_report(dist: Path) -> str:
    (dist / "report.json").write_text("{}")
    return "report.json is not the file that manifest.json describes: it was changed"


def remove(dist: Path) -> str:
    (dist / "cnn.onnx").unlink()
    return "cnn.onnx, which manifest.json lists, is missing"


def break_the_manifest(dist: Path) -> str:
    (dist / "manifest.json").write_text('{"format": 1}')
    return "manifest.json is not a valid manifest at top"


@pytest.mark.usefixtures("no_workers")
@pytest.mark.parametrize("damage", [tamper, tamper_with_the_report, remove, break_the_manifest])
def test_a_bundle_that_was_changed_is_refused(damage: Any, built: Built, tmp_path: Path) -> None:
    shutil.copytree(built.dist, tmp_path / "dist")
    says = damage(tmp_path / "dist")
    done = mlc("validate", tmp_path / "dist", "--against", built.source)
    assert done.code == 4
    assert says in done.err
    assert "Traceback" not in done.err


def test_an_artifact_of_another_network_fails(built: Built, tmp_path: Path) -> None:
    import keras

    model = keras.models.load_model(built.source)
    kernel, bias = model.get_layer("scores").get_weights()
    model.get_layer("scores").set_weights([kernel, bias + 0.1 * np.arange(5)])
    model.save(tmp_path / "other.keras")
    against = ("--against", tmp_path / "other.keras", "--data", built.data)
    done = mlc("validate", built.dist / "cnn.onnx", *against)
    assert done.code == 1
    assert "failed: output 'scores' is off by" in done.out


def test_a_script_without_a_guard_builds_a_live_model_and_remembers_nothing(tmp_path: Path) -> None:
    """Spawned processes run the main script again, unless they are kept from it."""
    code = """
import keras, mlc
print("the script runs")
keras.utils.set_random_seed(0)
x = keras.Input((6,), name="x")
y = keras.layers.Dense(3, activation="softmax", kernel_initializer="random_normal", name="y")(x)
model = keras.Model(x, y, name="live")
report = mlc.build(model, "out", targets=["tflite"], author="A. Tester", cache=False)
(row,) = report.rows
print(row.level, row.file, report.exit_code.value, report.network.provenance.kind)
runtime = mlc.open("out/live.tflite")
print(runtime.run({"x": [[1.0] * 6]})["y"].shape)
runtime.close()
"""
    done = python(code, tmp_path, MLC_CACHE=str(tmp_path / "cache"))
    assert done.out == ("the script runs\nverified live.tflite 0 live keras model\n(1, 3)\n"), (
        done.err
    )
    manifest = read_manifest(tmp_path / "out")
    assert manifest["model"]["author"] == "A. Tester"
    assert not list(tmp_path.rglob("result.pickle")), "cache=False keeps nothing"


def test_a_full_disk_leaves_the_previous_bundle(built: Built, tmp_path: Path) -> None:
    """A real one, with 16 kB of room, mounted where only this process sees it."""
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    command = f"{sys.executable} -m mlc build {' '.join(built.arguments)} -o {tiny}/dist"
    script = f"""
mount -t tmpfs -o size=1m tmpfs {tiny} || exit 99
cp -r {built.dist} {tiny}/dist
dd if=/dev/zero of={tiny}/ballast bs=4k 2>/dev/null
truncate -s -16k {tiny}/ballast
digest() {{ (cd {tiny}/dist && cat $(find . -type f | sort) | sha256sum); }}
before=$(digest)
{command}; echo "code $?"
[ "$before" = "$(digest)" ] && echo intact
ls -A {tiny}
"""
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, timeout=120
    )
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip(f"this machine lets nobody mount: {done.stderr}")
    assert done.stdout == "code 5\nintact\nballast\ndist\n", done
    assert "The disk is full." in done.stderr
    assert "Traceback" not in done.stderr
