"""What an artifact says of itself, against its bundle and its network."""

from __future__ import annotations

from mlc.convert.metadata import Statement, facts_of
from mlc.validate.declared import check_declared
from tests import stand_ins

NETWORK = stand_ins.network(outputs={"scores": (1, 1000)})
LABELS = [f"label {k}" for k in range(1000)]


def test_a_label_count_that_does_not_fit_is_one_sentence() -> None:
    labels = ["background", *LABELS]
    (check,) = check_declared(
        [Statement("TFLITE_METADATA", {"labels": labels}, False)], None, NETWORK
    )
    assert check.state == "failed"
    assert check.detail == (
        "TFLITE_METADATA names 1001 labels, but 'scores' has 1000 classes. "
        "Drop the label of the background."
    )


def test_places_that_agree_pass_and_those_that_do_not_fail() -> None:
    declared = facts_of(NETWORK.described(labels=tuple(LABELS)))
    right, wrong = Statement("a", declared, True), Statement("b", {"version": "9"}, False)
    (check,) = check_declared([right], declared, NETWORK)
    assert (check.state, check.detail) == ("passed", "a agree with manifest.json")
    (check,) = check_declared([right, wrong], declared, NETWORK)
    assert check.state == "failed"
    assert check.detail == "b disagrees with manifest.json: version is '9', not '1.0.0'"


def test_without_a_bundle_only_labels_can_be_wrong() -> None:
    found = [Statement("metadata_props", {"version": "9", "labels": LABELS}, True)]
    (check,) = check_declared(found, None, NETWORK)
    assert check.state == "passed"
    assert check_declared([], None, NETWORK) == ()
