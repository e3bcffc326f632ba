"""What surrounds the proof: calibration, doubts, the level of a row, and failures of a proof itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc import prove
from mlc.build import _calibration
from mlc.config import BuildConfig, resolve
from mlc.convert.preprocessing import Preprocessing
from mlc.data.synthesized import synthesize
from mlc.errors import DataError
from mlc.optimize.recipe import named
from mlc.prove import Candidate, Subject, prove_all
from mlc.report.report import Row
from mlc.stages import Silent, Stages
from mlc.store import Store, Stored
from mlc.targets.target import Emission
from mlc.validate.evidence import Check, Evidence, Latency
from mlc.validate.execute import Proof
from mlc.validate.gate import Limits
from mlc.validate.size import Size
from mlc.workers import Workers
from tests import stand_ins
from tests.stand_ins import plain

NETWORK = stand_ins.network({"x": (1, 3)})


def configured(**flags: Any) -> BuildConfig:
    return resolve(Path("model.h5"), None, {}, flags)


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    recording: Future[Stored] = Future()
    recording.set_result(Stored(tmp_path, 1))
    return Subject(NETWORK, synthesize(NETWORK, 4), recording, 0, 10, ())


@pytest.fixture
def rows(tmp_path: Path) -> Callable[[str, int], str]:
    def rows(name: str, count: int) -> str:
        np.savez(tmp_path / name, x=np.arange(3 * count).reshape(count, 3))
        return str(tmp_path / name)

    return rows


def test_integers_are_calibrated_on_the_data(
    subject: Subject, rows: Callable[[str, int], str]
) -> None:
    config = configured(recipe="int8", data=rows("data.npz", 9), calibration_samples=4)
    calibration = _calibration(config, subject)
    assert calibration is not None
    assert len(list(calibration())) == 4


def test_other_data_may_be_given_for_it(subject: Subject, rows: Callable[[str, int], str]) -> None:
    config = configured(
        recipe="int8", data=rows("data.npz", 9), calibration=rows("calibration.npz", 2)
    )
    calibration = _calibration(config, subject)
    assert calibration is not None
    assert len(list(calibration())) == 2


@pytest.mark.parametrize(("recipe", "data"), [("int8", False), ("fp16", True), ("fp32", True)])
def test_nothing_is_calibrated_without_data_or_integers(
    recipe: str, data: bool, subject: Subject, rows: Callable[[str, int], str]
) -> None:
    config = configured(recipe=recipe, data=rows("data.npz", 3) if data else None)
    assert _calibration(config, subject) is None
    assert named(recipe).name == recipe


@pytest.mark.parametrize(
    ("preprocessing", "folder", "doubts"), [(None, True, 1), (None, False, 0), ("raw", True, 0)]
)
def test_pictures_without_preprocessing_are_doubted(
    preprocessing: str | None, folder: bool, doubts: int, tmp_path: Path
) -> None:
    plain(8, 8).save(tmp_path / "a.png")
    config = configured(data=str(tmp_path) if folder else None)
    if preprocessing:
        config = replace(config, preprocessing=Preprocessing())
    found = prove._doubts(stand_ins.network(), config)
    assert len(found) == doubts
    assert all("--input-scale" in doubt for doubt in found)


PASSED, FAILED, REGRESSED, DOUBTED = (
    Check("a check", state, "")  # type: ignore[arg-type]
    for state in ("passed", "failed", "regressed", "not verified")
)


@pytest.mark.parametrize(
    ("evidence", "level"),
    [
        (Evidence(checks=(PASSED,)), "verified"),
        (Evidence(checks=(PASSED, DOUBTED)), "emitted"),
        (Evidence(reason="No Mac."), "emitted"),
        (Evidence(checks=(PASSED, DOUBTED, REGRESSED)), "regressed"),
        (Evidence(reason="No Mac.", checks=(REGRESSED,)), "regressed"),
        (Evidence(checks=(REGRESSED, FAILED)), "failed"),
        (Evidence(failure="It crashed.", checks=(PASSED,)), "failed"),
    ],
)
def test_the_worst_check_is_the_level(evidence: Evidence, level: str) -> None:
    assert prove._level(evidence) == level


class Answers:
    """Workers that give prepared answers to the stages of a proof, by function name."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def submit(self, function: Any, folder: Path, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        answer = self.answers[function.__name__]
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        return future

    def __exit__(self, *_: object) -> None:
        pass


def proven(subject: Subject, tmp_path: Path, limits: Limits, **answers: Any) -> Any:
    (tmp_path / "m.tflite").write_bytes(bytes(100))
    candidate = Candidate("tflite", Emission(tmp_path / "m.tflite", "float32", "float32"), "0" * 64)
    with Stages(Store(tmp_path / "store"), Workers(tmp_path / "log"), Silent()) as stages:
        stages._workers = Answers(**answers)  # type: ignore[assignment]
        (row,) = prove_all(stages, subject, [candidate], {"tflite": limits})
    return row


GOOD = Proof(Evidence(checks=(PASSED,)), Size(100, 50, 45), timed=True)
LATENCY = Latency(5, 1.0, 2.0, 0.5, (0.4, 0.6))


def test_a_proof_has_its_latency_and_limits(subject: Subject, tmp_path: Path) -> None:
    limits = Limits(max_size=99)
    row = proven(subject, tmp_path, limits, prove=GOOD, time_runs={"tflite": LATENCY})
    assert row.level == "regressed"
    assert row.evidence.latency == LATENCY
    assert [check.name for check in row.evidence.checks] == ["a check", "size"]


def test_a_proof_that_crashes_is_a_failed_row(subject: Subject, tmp_path: Path) -> None:
    row = proven(subject, tmp_path, Limits(max_size=200), prove=ValueError("no\nsuch tensor"))
    assert row.level == "failed"
    assert row.evidence.failure == "ValueError while running TFLite: no See build.log."
    assert row.size.raw == 100, "the artifact is there, and is looked at"


def test_timing_that_fails_costs_only_the_time(subject: Subject, tmp_path: Path) -> None:
    row = proven(subject, tmp_path, Limits(), prove=GOOD, time_runs=ValueError("busy"))
    assert (row.level, row.evidence.latency) == ("verified", None)


def test_what_cannot_be_timed_is_not(subject: Subject, tmp_path: Path) -> None:
    untimed = replace(GOOD, timed=False)
    assert proven(subject, tmp_path, Limits(), prove=untimed).evidence.latency is None


def test_each_artifact_is_proven_as_soon_as_it_is_there(subject: Subject, tmp_path: Path) -> None:
    """And a target that could not be emitted keeps its row."""
    events = []

    class Watched(Silent):
        def started(self, title: str) -> None:
            events.append(title)

    def emitted() -> Iterator[Candidate | Row]:
        for target in ("tflite", "onnx"):
            events.append(target)
            (tmp_path / target).write_bytes(bytes(100))
            emission = Emission(tmp_path / target, "float32", "float32")
            yield Candidate(target, emission, target)
        yield Row("coreml", "failed")

    with Stages(Store(tmp_path / "store"), Workers(tmp_path / "log"), Watched()) as stages:
        stages._workers = Answers(prove=GOOD, time_runs={})  # type: ignore[assignment]
        rows = prove_all(stages, subject, emitted(), dict.fromkeys(("tflite", "onnx"), Limits()))
    assert events == ["tflite", "prove TFLite", "onnx", "prove ONNX", "measure latency"]
    assert {row.target: row.level for row in rows} == {
        "coreml": "failed",
        "tflite": "verified",
        "onnx": "verified",
    }


def test_an_original_that_cannot_be_run_is_told_in_a_sentence(subject: Subject) -> None:
    failed: Future[Stored] = Future()
    failed.set_exception(DataError("The data have other shapes.", "Look at them."))
    with pytest.raises(DataError, match="other shapes"):
        _ = replace(subject, recording=failed).references


def test_artifacts_are_compared_with_each_other() -> None:
    answers = {"tflite": (1, 2, 3, 4), "onnx": (1, 2, 3, 5), "tfjs": (1, 2, 0, 5), "coreml": ()}
    mutual = prove._mutual(answers)
    assert mutual["tflite"] == {"onnx": 0.75, "tfjs": 0.5}
    assert mutual["onnx"] == {"tflite": 0.75, "tfjs": 0.75}
    assert mutual["coreml"] == {}, "it could not be run, or is no classifier"
