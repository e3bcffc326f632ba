"""The vocabulary: facts survive every way of carrying them, and what differs is named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.convert.metadata import (
    FACTS,
    Statement,
    disagreements,
    facts,
    facts_of,
    from_texts,
    to_texts,
    view,
)
from mlc.convert.network import Description, Provenance
from mlc.convert.preprocessing import Preprocessing
from tests import stand_ins

HOW = Preprocessing(color="bgr", scale=1 / 255, mean=(0.5, 0.4, 0.3), std=(0.2,))
NETWORK = stand_ins.network(labels=("a", "ß", "三"), preprocessing=HOW)


@given(
    about=st.builds(Description, st.text(min_size=1), *[st.text()] * 4),
    source=st.builds(Provenance, st.text(), st.text(), st.text()),
    labels=st.lists(st.text(), max_size=5),
    how=st.one_of(st.none(), st.just(HOW)),
)
def test_facts_survive_formats_that_hold_only_texts(
    about: Description, source: Provenance, labels: list[str], how: Preprocessing | None
) -> None:
    made = facts(about, source, tuple(labels), how)
    assert from_texts(to_texts(made)) == made
    assert list(made) == [name for name in FACTS if name in made]
    assert all(made.values())


def test_other_texts_are_passed_over_and_broken_ones_differ() -> None:
    found = from_texts({"labels": "[1,", "author": "me", "producer": "acme"})
    assert found == {"author": "me", "labels": "[1,"}


def test_the_view_is_the_same_formula() -> None:
    seen = view(HOW)
    assert seen["color"] == "bgr"
    pixel = 200
    for (a, b), mean in zip(seen["affine"], HOW.mean, strict=True):
        assert a * pixel + b == pytest.approx((pixel / 255 - mean) / 0.2)


def statement(whole: bool = True, **changes: Any) -> Statement:
    return Statement("here", {**facts_of(NETWORK), **changes}, whole)


def test_what_agrees_has_no_disagreements() -> None:
    declared = facts_of(NETWORK)
    assert disagreements(statement(), declared) == []
    native = {"author": "", **view(HOW)} | {
        "affine": [[1 / 51 + 1e-9, -2.5], *view(HOW)["affine"][1:]]
    }
    native.pop("author")
    assert disagreements(Statement("there", native, whole=False), declared) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (statement(version="2.0"), "version is '2.0', not '1.0.0'"),
        (statement(labels=["a", "b"]), "labels is ['a', 'b'], not ['a', 'ß', '三']"),
        (statement(labels=["a"] * 1000), "labels is a list of 1000"),
        (statement(author="somebody"), "author is 'somebody', which nobody declared"),
        (statement(whole=False, color="rgb"), "color is 'rgb', not 'bgr'"),
        (statement(whole=False, affine=[[1.0, 0.0]]), "affine is [[1.0, 0.0]], not"),
        (Statement("here", {"name": "model"}, whole=True), "labels is missing"),
    ],
)
def test_what_differs_is_named(found: Statement, said: str) -> None:
    assert said in "; ".join(disagreements(found, facts_of(NETWORK)))
