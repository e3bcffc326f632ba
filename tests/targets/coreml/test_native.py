"""Core ML itself beside the evaluator, as on a Mac.

No machine that runs these tests has Core ML, so two things are stood in for, and nothing else: the
version of macOS, and `coremltools.models.MLModel.predict`. The stand-in takes and gives what Core ML does
(pictures as PIL images, a dictionary by label that has no order), and computes by the evaluator, in
float32.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc import prove as proving
from mlc import targets
from mlc.convert.network import Network
from mlc.data.synthesized import synthesize
from mlc.errors import UnverifiableError
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import named
from mlc.prove import Candidate
from mlc.report.report import Report
from mlc.report.terminal import print_report, wide_console
from mlc.targets import coreml
from mlc.targets.coreml import evaluator
from mlc.targets.target import Emission, Options
from mlc.validate.execute import Proof, prove, reference, time_runs
from mlc.validate.gate import Limits
from tests.targets.coreml.test_pictures import FORMULAS, classifier

LABELS = ("wasp", "bee", "ant", "dög")  # not in the order of the alphabet
Predict = Callable[[Any, dict[str, Any]], dict[str, Any]]


def as_core_ml(self: Any, data: dict[str, Any]) -> dict[str, Any]:
    """What `MLModel.predict` answers on a Mac."""
    description = self.get_spec().description
    kinds = {f.name: f.type.WhichOneof("Type") for f in description.input}
    feeds = {}
    for name, value in data.items():
        array = np.asarray(value, np.float32)
        if kinds[name] == "imageType":
            array = array[None] if array.ndim == 3 else array[None, ..., None]
        feeds[name] = array
    with closing(evaluator.open(Path(self.package_path), mode="float32")) as package:
        results: dict[str, Any] = package.run(feeds)
        scores = description.predictedProbabilitiesName
        if scores:
            row = results[scores][0]
            by_label = dict(zip(package.labels, row.tolist(), strict=True))
            results[scores] = dict(sorted(by_label.items()))
            results[description.predictedFeatureName] = max(by_label, key=by_label.__getitem__)
    return results


@pytest.fixture
def on_a_mac(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def pretend(macos: str = "14.6.1", predict: Predict = as_core_ml) -> None:
        import coremltools

        monkeypatch.setattr(platform, "mac_ver", lambda: (macos, ("", "", ""), "arm64"))
        monkeypatch.setattr(coremltools.models.MLModel, "predict", predict)

    return pretend


@pytest.fixture(scope="module")
def network() -> Network:
    return classifier().described(preprocessing=FORMULAS["centred"], labels=LABELS)


@pytest.fixture(scope="module")
def emission(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Emission:
    path = tmp_path_factory.mktemp("native") / "m.mlpackage"
    return coreml.emit(network, Plan(named("fp16")), None, Options(ios=17), path)


def proof(network: Network, emission: Emission, folder: Path) -> Proof:
    dataset = synthesize(network, 8)
    reference(folder, network, dataset, cases=2)
    return prove(folder, "coreml", emission, network, dataset, folder)


def row(found: Proof, emission: Emission, **limits: Any) -> Any:
    candidate = Candidate("coreml", emission, "0" * 64)
    return proving._row(candidate, found, None, {}, Limits(**limits))


def test_elsewhere_there_is_none(network: Network, emission: Emission, tmp_path: Path) -> None:
    found = proof(network, emission, tmp_path)
    assert found.evidence.native is None
    assert not found.timed


def test_both_are_in_the_report(
    on_a_mac: Callable[..., None], network: Network, emission: Emission, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    on_a_mac()
    found = proof(network, emission, tmp_path)
    native = found.evidence.native
    assert native
    assert native.parity
    assert native.golden
    assert found.evidence.parity
    assert native.runtime == "Core ML"
    # One rounded each result to float16, the other rounded no result: both near, and not the same.
    errors = [p.worst.max_relative for p in (found.evidence.parity, native.parity)]
    assert 0 < errors[1] < errors[0] < 1e-2
    assert [c.state for c in native.checks] == ["passed", "passed"]
    shown = row(found, emission)
    assert shown.level == "verified"
    report = Report(network, 1000, "fp16", "8 made-up inputs", False, (shown,))
    assert report.to_json()["artifacts"][0]["native"]["runtime"] == "Core ML"
    print_report(report, wide_console())
    assert "  in Core ML" in capsys.readouterr().out


def test_the_time_is_core_mls(
    on_a_mac: Callable[..., None], network: Network, emission: Emission, tmp_path: Path
) -> None:
    calls = []

    def counted(self: Any, data: dict[str, Any]) -> dict[str, Any]:
        calls.append(1)
        return as_core_ml(self, data)

    on_a_mac(predict=counted)
    assert proof(network, emission, tmp_path).timed
    calls.clear()
    latency = time_runs(tmp_path, network, synthesize(network, 2), {"coreml": emission.path})
    assert latency["coreml"].rounds <= len(calls)


def wrong(self: Any, data: dict[str, Any]) -> dict[str, Any]:
    """Two labels have each other's score."""
    results = as_core_ml(self, data)
    ((name, scores),) = [(k, v) for k, v in results.items() if isinstance(v, dict)]
    return results | {name: scores | {"wasp": scores["dög"], "dög": scores["wasp"]}}


def refusing(self: Any, data: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("Error compiling model: no such operation\nmore of it")


@pytest.mark.parametrize(
    ("predict", "remark"),
    [
        (wrong, "in Core ML: failed: SQNR"),
        (refusing, "in Core ML: Error compiling model: no such operation"),
    ],
)
def test_what_core_ml_gets_wrong_fails_though_the_evaluator_is_right(
    predict: Predict, remark: str, on_a_mac: Callable[..., None], network: Network,
    emission: Emission, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    on_a_mac(predict=predict)
    found = proof(network, emission, tmp_path)
    assert {c.state for c in found.evidence.checks} == {"passed"}
    shown = row(found, emission)
    assert shown.level == "failed"
    print_report(Report(network, 1000, "fp16", "data", False, (shown,)), wide_console())
    assert remark in capsys.readouterr().out


def test_limits_hold_for_core_ml_too(
    on_a_mac: Callable[..., None], network: Network, emission: Emission, tmp_path: Path
) -> None:
    on_a_mac()
    found = proof(network, emission, tmp_path)
    native = found.evidence.native
    assert native
    assert native.parity
    worse = replace(native, parity=replace(native.parity, agreement=0.9))
    found = replace(found, evidence=replace(found.evidence, native=worse))
    assert row(found, emission, min_agreement=95.0).level == "regressed"
    assert row(found, emission, min_agreement=85.0).level == "verified"


def test_an_older_mac_says_so_and_takes_nothing_away(
    on_a_mac: Callable[..., None], network: Network, emission: Emission, tmp_path: Path
) -> None:
    """The package is for iOS 17: macOS 14."""
    on_a_mac("13.1")
    with pytest.raises(UnverifiableError, match=r"for macOS 14 and later; this is macOS 13\.1"):
        targets.native("coreml", emission.path)
    found = proof(network, emission, tmp_path)
    assert found.evidence.native
    assert "macOS 13.1" in found.evidence.native.reason
    assert not found.timed
    assert row(found, emission, min_agreement=95.0).level == "verified"
