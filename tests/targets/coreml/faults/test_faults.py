"""Every fault that changes an output by more than mlc tolerates is caught by mlc's own judgement.

What a fault really does is measured by a second executor, which shares nothing with the evaluator: had
the evaluator ignored a parameter, it would pass what the second executor sees change.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.targets.coreml.faults.catalogue import FAULTS
from tests.targets.coreml.faults.subjects import make
from tests.targets.coreml.faults.trial import Patient, Trial

pytestmark = pytest.mark.xdist_group("faults in Core ML packages")

Trials = Callable[[str], tuple[Patient, list[Trial]]]

# Subject -> words of the faults to plant in it; none for all. The bench plants everything everywhere.
_COMPRESSED = ("palette", "sparse", "scales", "zero points")
SUBJECTS: dict[str, tuple[str, ...]] = {
    "digits fp32": (),
    "reader fp32": (),
    "painter fp32": (),
    "not_hotdog fp32": ("padding ", "residual is lost", "RGB"),
    "reader fp16": (),
    "digits palette": _COMPRESSED,
    "digits sparse": _COMPRESSED,
    "digits uint8": _COMPRESSED,
    "digits int8": _COMPRESSED,
}
SAMPLES = {"not_hotdog": 2, "digits": 12}
# 4-bit palettes leave 20 dB of a weight; none of the faults leaves 13.
BAD_WEIGHT_DB = 15.0

# What these data cannot show of a float32 package; the reason is measured each time.
LAST_BIT = "a weight's largest element has another last bit"
FIRST_RELU6, MIDDLE_RELU6, LAST_RELU6 = (
    f"relu6 became relu ({which})" for which in ("first", "middle", "last")
)
UNSEEN = {
    "digits fp32": {
        LAST_BIT, FIRST_RELU6, LAST_RELU6, "two axes of a transposition are swapped",
    },
    "reader fp32": {LAST_BIT, "gelu by tanh instead of the exact one", "a shift is missing"},
    "painter fp32": {
        LAST_BIT, FIRST_RELU6, MIDDLE_RELU6, LAST_RELU6, "relu became relu6",
        "a convolution pads at the other side",
    },
    "not_hotdog fp32": set(),
}  # fmt: skip

# Faults that none of these networks shows.
NEVER_SEEN = {
    LAST_BIT, FIRST_RELU6, LAST_RELU6, "relu became relu6", "gelu by tanh instead of the exact one",
}  # fmt: skip


def _stands_out(trial: Trial) -> bool:
    return trial.weights_db is not None and trial.weights_db < BAD_WEIGHT_DB


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Trials:
    """A subject and all its trials, made once."""

    @cache
    def run(name: str) -> tuple[Patient, list[Trial]]:
        folder = tmp_path_factory.mktemp(name.replace(" ", "_"))
        network, kind = name.split()
        patient = Patient(make(network, kind, folder, SAMPLES.get(network, 4)), folder)
        words = SUBJECTS[name]
        chosen = [f for f in FAULTS if not words or any(word in f.name for word in words)]
        found = [patient.plant(fault) for fault in chosen]
        return patient, [trial for trial in found if trial is not None]

    return run


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_healthy_package_passes(name: str, trials: Trials) -> None:
    patient, _ = trials(name)
    assert patient.judged(patient.subject.emission.path)[0] == "passed"


@pytest.mark.parametrize("name", SUBJECTS)
def test_what_changes_an_output_is_caught(name: str, trials: Trials) -> None:
    patient, found = trials(name)
    passed = [t for t in found if t.verdict == "passed"]
    unknown = [t for t in passed if t.effect is None]
    changed = [
        t for t in passed if t.effect and t.effect.beyond(patient.subject.emission, slack=1.2)
    ]
    assert (unknown, changed) == ([], [])


@pytest.mark.parametrize("name", SUBJECTS)
def test_what_changes_nothing_is_not_blamed(name: str, trials: Trials) -> None:
    patient, found = trials(name)
    assert [
        t
        for t in found
        if t.verdict == "failed" and t.effect
        if not t.effect.beyond(patient.subject.emission, slack=1 / 1.2)
    ] == []


@pytest.mark.parametrize("name", UNSEEN)
def test_what_data_cannot_show_is_known_and_has_a_reason(name: str, trials: Trials) -> None:
    _, found = trials(name)
    passed = [t for t in found if t.verdict == "passed"]
    assert {t.fault for t in passed} == UNSEEN[name]
    assert [t.fault for t in passed if not t.unseen] == []


@pytest.mark.parametrize("name", [name for name in SUBJECTS if SUBJECTS[name] is _COMPRESSED])
def test_a_wrong_compressed_weight_stands_out(name: str, trials: Trials) -> None:
    """Also where outputs stay within what compression may lose: each weight is decoded and compared."""
    patient, found = trials(name)
    healthy = patient.weights(patient.subject.emission.path)
    assert healthy is not None
    assert healthy > BAD_WEIGHT_DB
    assert len(found) >= 2
    assert [t for t in found if not _stands_out(t)] == []


def test_every_fault_is_planted_and_almost_every_one_is_seen(trials: Trials) -> None:
    everything = [trial for name in SUBJECTS for trial in trials(name)[1]]
    assert {t.fault for t in everything} == {f.name for f in FAULTS}
    caught = {t.fault for t in everything if t.verdict != "passed" or _stands_out(t)}
    assert {f.name for f in FAULTS} - caught == NEVER_SEEN
    assert len(caught) > 60
