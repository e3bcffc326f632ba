"""Reports: the exit code, the JSON, and what a person reads."""

from __future__ import annotations

import io
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mlc.errors import Exit
from mlc.progress import Advance
from mlc.report.report import Report, Row
from mlc.report.terminal import Progress, print_report, size_text, wide_console
from mlc.targets.target import Emission
from mlc.validate.evidence import Accuracy, Check, Evidence, Latency, OutputError, Parity
from mlc.validate.size import Size
from tests import stand_ins

EMISSION = Emission(Path("m.tflite"), "int8", "float32", ("Activations stay in float32.",))
EVIDENCE = Evidence(
    runtime="LiteRT 2.1.6",
    parity=Parity(40, (OutputError("scores", 1.0, 2e-3, 2e-3, 41.5),), 0.975),
    accuracy=Accuracy(40, 0.95, (0.83, 0.99), 0.925, (0.8, 0.97)),
    latency=Latency(10, 5.0, 4.0, 1.25, (1.2, 1.3)),
    checks=(Check("finite", "passed", "all outputs are finite"),),
)
GOOD = Row(
    "tflite", "verified", EMISSION, Size(25_000, 20_000, 19_000), "0" * 64, EVIDENCE, "m.tflite"
)
FAILED = Row("onnx", "failed", evidence=Evidence(failure="ONNX has no op [Foo]. Leave it out."))
UNPROVEN = replace(GOOD, target="coreml", level="emitted", evidence=Evidence(reason="No Mac here."))
BROKEN = replace(
    GOOD,
    target="tfjs",
    level="regressed",
    evidence=replace(EVIDENCE, checks=(Check("size", "regressed", "size 9; allowed at most 5"),)),
)


def report(*rows: Row, **more: Any) -> Report:
    return Report(
        stand_ins.network(), 100_000, "int8", "40 rows", True, rows, bundle="dist", **more
    )


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ((), Exit.OK),
        ((GOOD,), Exit.OK),
        ((GOOD, UNPROVEN), Exit.OK),
        ((GOOD, BROKEN), Exit.GATE),
        ((GOOD, BROKEN, FAILED), Exit.FAILED),
        ((replace(GOOD, level="skipped"),), Exit.OK),
    ],
)
def test_the_worst_row_decides_the_exit_code(rows: tuple[Row, ...], code: Exit) -> None:
    assert report(*rows).exit_code == code
    assert report(*rows).to_json()["exit_code"] == int(code)


def test_warnings_are_told_though_the_check_passed() -> None:
    check = Check("fp16 audit", "passed", "float16 holds", ("Long sums.",), {"batches": 4})
    row = replace(GOOD, evidence=replace(EVIDENCE, checks=(check,)))
    assert "tflite: warning: Long sums." in printed(report(row))
    assert "float16 holds" not in printed(report(row)), "what is well needs no line"
    (stored,) = report(row).to_json()["artifacts"][0]["checks"]
    assert stored["figures"] == {"batches": 4}
    assert list(stored["warnings"]) == ["Long sums."]


def test_json_has_all_that_was_measured() -> None:
    plain = json.loads(
        json.dumps(report(GOOD, FAILED, notes=("Beware.",)).to_json(), allow_nan=False)
    )
    good, failed = plain["artifacts"]
    assert good["state"] == "verified"
    assert good["parity"]["agreement"] == 0.975
    assert good["parity"]["outputs"][0]["sqnr_db"] == 41.5
    assert good["accuracy"]["original_interval"] == [0.83, 0.99]
    assert good["latency"]["ratio"] == 1.25
    assert good["size"] == {"raw": 25_000, "gzip": 20_000, "brotli": 19_000}
    assert (good["weights"], good["activations"]) == ("int8", "float32")
    assert good["notes"] == ["Activations stay in float32."]
    assert failed["failure"].startswith("ONNX has no op")
    assert (failed["size"], failed["parity"], failed["weights"]) == (None, None, None)
    assert plain["notes"] == ["Beware."]
    assert plain["source"] == {
        "file": "model.h5", "kind": "Keras 2.4.0 HDF5", "sha256": "0" * 64, "bytes": 100_000,
    }  # fmt: skip
    assert plain["network"]["inputs"][0]["shape"] == [1, 8, 8, 3]
    assert plain["data"] == {"title": "40 rows", "labelled": True}


def printed(found: Report, width: int = 104) -> str:
    stream = io.StringIO()
    print_report(found, Console(file=stream, width=width))
    return stream.getvalue()


def test_a_person_sees_the_figures_of_every_row() -> None:
    text = printed(report(GOOD, FAILED, UNPROVEN, BROKEN, notes=("Beware of [this].",)))
    lines = text.splitlines()
    (row,) = [line for line in lines if line.startswith("tflite")]
    for figure in (
        "int8 weights",
        "25.0 kB",
        "20.0 kB",
        "0.25",
        "97.5%",
        "92.5%",
        "2.0e-03",
        "42",
        "1.25×",
        "✓ verified",
    ):
        assert figure in row
    (row,) = [line for line in lines if line.startswith("onnx")]
    assert row.split() == ["onnx", *"————————", "✗", "failed"]
    for sentence in (
        "compared on 40 rows",
        "original: accuracy 95.0% (83.0%–99.0%) on n = 40 labelled samples (95 % interval)",
        "onnx: ONNX has no op [Foo]. Leave it out.",
        "coreml: not verified: No Mac here.",
        "tfjs: regressed: size 9; allowed at most 5",
        "tflite: Activations stay in float32.",
        "Beware of [this].",
        "bundle: dist",
    ):
        assert sentence in text
    assert "all outputs are finite" not in text, "what passed needs no sentence"


def test_equal_to_the_last_bit_is_an_infinite_ratio() -> None:
    exact = replace(EVIDENCE, parity=Parity(4, (OutputError("s", 1.0, 0.0, 0.0, None),), None))
    text = printed(report(replace(GOOD, evidence=exact)))
    assert " ∞ " in text


def test_without_labels_there_is_no_column_for_them() -> None:
    bare = replace(GOOD, evidence=replace(EVIDENCE, accuracy=None))
    assert "top-1" in printed(report(GOOD))
    assert "top-1" not in printed(report(bare))
    assert "original: accuracy" not in printed(report(bare))


def test_a_narrow_file_or_log_shows_the_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert wide_console().width == 112
    assert "…" not in printed(report(GOOD, FAILED, UNPROVEN, BROKEN))
    monkeypatch.setenv("COLUMNS", "150")
    assert wide_console().width == 150


@given(st.integers(0, 10**12))
def test_sizes_are_read_back_within_their_rounding(count: int) -> None:
    number, unit = size_text(count).split()
    factor = {"B": 1, "kB": 10**3, "MB": 10**6}[unit]
    shown = abs(float(number) * factor - count)
    assert shown <= (0 if unit == "B" else max(50, 0.006 * count))
    assert unit == "MB" or float(number) < 1000


def test_progress_prints_what_took_time_and_nothing_from_the_cache() -> None:
    stream = io.StringIO()
    with Progress(Console(file=stream, width=80)) as progress:
        progress.started("emit [TFLite]")
        progress.finished("emit [TFLite]", 1.25, cached=False)
        progress.finished("read the source", 0.0, cached=True)
    assert stream.getvalue().strip() == "1.2 s  emit [TFLite]"


def test_progress_may_be_told_from_many_threads() -> None:
    stream = io.StringIO()
    with Progress(Console(file=stream, width=80)) as progress:

        def work(k: int) -> None:
            progress.started(f"stage {k}")
            progress.finished(f"stage {k}", k, cached=False)

        threads = [threading.Thread(target=work, args=(k,)) for k in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(stream.getvalue().strip().splitlines()) == 20


def test_progress_shows_how_far_a_long_stage_is() -> None:
    stream = io.StringIO()
    with Progress(Console(file=stream, width=120, force_terminal=True)) as progress:
        progress.started("train for int8")
        progress.advanced("train for int8", Advance(0.5, "epoch 1/2 · loss 0.1 · 0:30 left"))
        progress.advanced("another one", Advance(0.5, "of no stage"))
        time.sleep(0.3)
        progress.finished("train for int8", 60.0, cached=False)
    assert "epoch 1/2 · loss 0.1 · 0:30 left" in stream.getvalue()
    assert "━" in stream.getvalue()
    assert "of no stage" not in stream.getvalue()
