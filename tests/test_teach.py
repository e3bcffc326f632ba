"""Training in a build: what is trained is emitted, proven twice, reported, and goes on after Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mlc.bundle.manifest import read_manifest
from mlc.optimize.training.record import Epoch, Trained
from tests.command import Done, mlc

pytestmark = pytest.mark.xdist_group("teach")
DIGITS = Path(__file__).parents[1] / "examples" / "digits" / "digits.keras"


@dataclass(frozen=True)
class Taught:
    dist: Path
    learned: Path
    compared: Path
    done: Done


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits to learn from, and others to compare on."""
    from sklearn.datasets import load_digits

    folder, loaded = tmp_path_factory.mktemp("digits"), load_digits()
    x, y = loaded.images[..., np.newaxis].astype(np.float32), loaded.target
    np.savez(folder / "learned.npz", x=x[:300], y=y[:300])
    np.savez(folder / "compared.npz", x=x[1500:1600], y=y[1500:1600])
    return folder


@pytest.fixture(scope="module")
def taught(files: Path) -> Taught:
    learned, compared = files / "learned.npz", files / "compared.npz"
    done = mlc(
        "build", DIGITS, "-t", "tflite", "--prune", "0.5", "--epochs", "2", "-o", files / "dist",
        "--train-data", learned, "--data", compared,
    )  # fmt: skip
    assert done.code == 0, done
    return Taught(files / "dist", learned, compared, done)


def test_the_report_tells_what_was_trained(taught: Taught) -> None:
    assert "prune to 50 %: 2 epochs on 240 samples with labels, held out 60" in taught.done.out
    report = json.loads((taught.dist / "report.json").read_text())
    (phase,) = report["training"]
    assert (phase["title"], phase["learned"], phase["held_out"]) == ("prune to 50 %", 240, 60)
    assert len(phase["epochs"]) == 3
    assert not any("trained on the data that it is compared on" in n for n in report["notes"])
    assert read_manifest(taught.dist)["training"] == ["prune to 50 %"]


def test_a_trained_artifact_is_compared_with_both_networks(taught: Taught) -> None:
    (row,) = json.loads((taught.dist / "report.json").read_text())["artifacts"]
    checks = {c["name"]: c for c in row["checks"]}
    assert checks["parity"]["state"] == "passed"
    assert row["parity"]["agreement"] > 0.9
    assert row["parity"]["outputs"][0]["max_relative"] > 1e-3, "it is not the original any more"
    assert checks["conversion"]["state"] == "passed"
    assert "float32 must be within 1e-04" in checks["conversion"]["detail"]


def test_without_the_trained_network_its_conversion_is_not_verified(taught: Taught) -> None:
    done = mlc("validate", taught.dist, "--against", DIGITS, "--data", taught.compared, "--json")
    assert done.code == 0, done
    (row,) = json.loads(done.out)["artifacts"]
    assert row["state"] == "emitted"
    assert {c["name"]: c["state"] for c in row["checks"]}["conversion"] == "not verified"


def test_integers_are_those_trained_for_and_data_seen_before_are_told(
    taught: Taught, tmp_path: Path
) -> None:
    dist = tmp_path / "dist"
    done = mlc(
        "build", DIGITS, "-t", "tflite,onnx", "--int8", "--qat", "--epochs", "1", "-o", dist,
        "--data", taught.learned,
    )  # fmt: skip
    assert done.code == 0, done
    assert "trained on the data that it is compared on" in " ".join(done.out.split())
    report = json.loads((dist / "report.json").read_text())
    assert [phase["title"] for phase in report["training"]] == ["train for int8"]
    for row in report["artifacts"]:
        assert {c["name"]: c["state"] for c in row["checks"]}["conversion"] == "passed"
        assert not any("another scale" in note for note in row["notes"])
        assert (row["weights"], row["activations"]) == ("int8", "int8")
    (file,) = dist.rglob("*.tflite")
    scales = stored_scales(file)
    plan = json.loads((dist / "plan.json").read_text())
    planned = [a["scale"] for a in plan["activations"] if a["bits"] == 8]
    found = [np.isclose(scales, scale, rtol=1e-6).any() for scale in planned]
    assert np.mean(found) > 0.9, "but for those that the interpreter computes together"


def stored_scales(file: Path) -> np.ndarray:  # type: ignore[type-arg]
    """Of all tensors that have one scale."""
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(str(file)).get_tensor_details()
    scales = [d["quantization_parameters"]["scales"] for d in details]
    return np.concatenate([s for s in scales if len(s) == 1])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--prune", "0.5"], "needs samples"),
        (["--prune", "5", "--data", "x"], "not understood"),
        (["--qat", "--data", "x"], "trains for integers"),
        (["--epochs", "5", "--data", "x"], "--epochs is of training"),
        (["--train-data", "x"], "--train-data is of training"),
        (["--cluster", "16", "--int8", "--data", "x"], "would become more"),
    ],
)
def test_what_cannot_be_trained_is_a_sentence(arguments: list[str], says: str) -> None:
    done = mlc("build", DIGITS, *arguments)
    assert done.code == 2
    assert says in done.err


def test_ctrl_c_while_training_loses_one_epoch_at_most(taught: Taught, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    arguments = [
        "build", DIGITS, "-t", "tflite", "--prune", "0.75", "--epochs", "30", "-o", tmp_path / "d",
        "--train-data", taught.learned, "--data", taught.compared,
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "mlc", *map(str, arguments)],
        env={**os.environ, "MLC_CACHE": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    end = time.monotonic() + 120
    while not list(cache.glob("stages/unfinished-*/checkpoint.npz")) and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "The same command goes on after the last whole epoch." in err
    (file,) = cache.glob("stages/unfinished-*/checkpoint.npz")
    with np.load(file) as stored:
        assert len(json.loads(str(stored["header"]))["epochs"]) < 31, "it was not over"
    assert not (tmp_path / "d").exists()


def test_a_record_is_a_sentence_for_people() -> None:
    epochs = (Epoch(None, 2.0, 0.5), Epoch(1.0, 0.5, 0.9), Epoch(1.0, 0.6, 0.8))
    notes = ("Some stay.",)
    record = Trained("prune to 50 %", "x", 1000, 200, False, 10, 1e-3, epochs, 1, notes)
    assert str(record) == (
        "prune to 50 %: 2 epochs on 1,000 samples, held out 200: loss 2 → 0.5, "
        "agreement 50.0% → 90.0%; kept epoch 1. Some stay."
    )
