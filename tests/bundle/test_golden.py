"""golden/ in a bundle: the rule of the tolerance, and who is held to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlc.bundle.golden import GOLDEN, write_golden
from mlc.data.synthesized import synthesize
from mlc.report.report import Level, Report, Row
from mlc.targets.target import Emission
from mlc.validate.evidence import Evidence, Golden, OutputError, Parity
from mlc.validate.golden import record_cases
from tests import stand_ins


def row(target: str, level: Level, activations: Any, error: float = 0.01) -> Row:
    parity = Parity(8, (OutputError("scores", 4.0, 0.5, 0.1, 30.0),), 1.0)
    evidence = Evidence(parity=parity, golden=Golden({"scores": error}, (2, 0)))
    emission = Emission(Path(target), activations, activations)
    return Row(target, level, emission, evidence=evidence, file=f"m.{target}")


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    network = stand_ins.network()
    runtime = stand_ins.Function(network, lambda feeds: {"scores": [[0.1, 0.2, 0.7]]})
    record_cases(runtime, network, synthesize(network, 4), 2, tmp_path / "cases")
    return tmp_path / "cases"


def written(rows: tuple[Row, ...], cases: Path, bundle: Path) -> Any:
    write_golden(cases, Report(stand_ins.network(), 1, "fp32", "rows", False, rows), bundle)
    return json.loads((bundle / GOLDEN).read_text())


def test_tolerance_is_twice_the_error_and_a_share_of_the_span(cases: Path, tmp_path: Path) -> None:
    rows = (row("tflite", "verified", "int8"), row("onnx", "regressed", "float32", error=0))
    found = written(rows, cases, tmp_path)
    assert found["artifacts"]["tflite"]["tolerance"]["scores"] == pytest.approx(0.02 + 0.02 * 4)
    assert found["artifacts"]["onnx"]["tolerance"]["scores"] == pytest.approx(0.01 * 4)
    assert found["artifacts"]["tflite"]["top1"] == [2, 0]
    assert found["artifacts"]["tflite"]["file"] == "m.tflite"


def test_what_failed_or_was_not_run_is_held_to_nothing(cases: Path, tmp_path: Path) -> None:
    unproven = Row("tfjs", "emitted", evidence=Evidence(reason="no Node"))
    rows = (row("tflite", "failed", "int8"), row("onnx", "verified", "float32"), unproven)
    assert list(written(rows, cases, tmp_path)["artifacts"]) == ["onnx"]


def test_every_file_that_is_named_is_there(cases: Path, tmp_path: Path) -> None:
    found = written((row("onnx", "verified", "float32"),), cases, tmp_path)
    named = {"golden.json"}
    for case in found["cases"]:
        named |= {case["picture"], *(t["file"] for t in case["inputs"] + case["outputs"])}
    assert {f.name for f in (tmp_path / "golden").iterdir()} == named
