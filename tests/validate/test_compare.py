"""Comparison: its streamed figures are those of a plain computation over everything at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlc.convert.network import TensorSpec
from mlc.data.dataset import Sample
from mlc.errors import DataError, UnverifiableError
from mlc.validate.compare import Comparison, _wilson, as_fed, compare, match, record
from tests import stand_ins
from tests.stand_ins import Function


@dataclass
class Rows:
    """Sample k is the number k, so that a runtime can look up what it shall answer."""

    count: int
    labels: Any = None
    fingerprint: str = "rows"
    title: str = "rows"

    @property
    def labelled(self) -> bool:
        return self.labels is not None

    def samples(self) -> Iterator[Sample]:
        for k in range(self.count):
            yield Sample({"x": np.array([k])}, None if self.labels is None else self.labels[k])


def answering(network: stand_ins.Network, **tables: Any) -> Function:
    """Row k of every table to sample k."""
    return Function(
        network, lambda feeds: {n: t[feeds["x"][:, 0].astype(int)] for n, t in tables.items()}
    )


def compared(
    reference: Mapping[str, Any],
    artifact: Mapping[str, Any],
    labels: Any = None,
    batch: int = 1,
    ending: str = "Softmax",
) -> Comparison:
    network = stand_ins.network(
        {"x": (batch, 1)},
        {name: (batch, *table.shape[1:]) for name, table in reference.items()},
        ending,
    )
    dataset = Rows(len(next(iter(reference.values()))), labels)
    with TemporaryDirectory() as folder:
        record(answering(network, **reference), network, dataset, Path(folder))
        return compare(answering(network, **artifact), network, dataset, Path(folder))


tables = hnp.arrays(
    np.float32,
    st.tuples(st.integers(2, 9), st.integers(2, 4)),
    elements=st.floats(-100, 100, width=32),
)


@settings(deadline=None, max_examples=60)
@given(st.data(), tables, st.integers(1, 4))
def test_streamed_figures_equal_a_direct_computation(data: Any, a: Any, batch: int) -> None:
    noise = data.draw(hnp.arrays(np.float32, a.shape, elements=st.floats(-1, 1, width=32)))
    b = a + noise
    labels = data.draw(st.lists(st.integers(0, a.shape[1] - 1), min_size=len(a), max_size=len(a)))
    found = compared({"s": a}, {"s": b}, labels, batch)

    difference = b.astype(float) - a.astype(float)
    (error,) = found.parity.outputs
    span = float(a.max()) - float(a.min())
    assert error.span == pytest.approx(span)
    assert error.max_absolute == pytest.approx(np.abs(difference).max())
    floor = max(span, 0.01 * float(np.abs(a).max()))
    if floor:
        assert error.max_relative == pytest.approx(np.abs(difference).max() / floor)
    if difference.any():
        power = max(float((a.astype(float) ** 2).sum()), 1e-300)
        assert error.sqnr_db == pytest.approx(10 * np.log10(power / (difference**2).sum()))
    else:
        assert error.sqnr_db is None
    largest = np.abs(a).max()
    change = (a.astype(float).max(axis=0) - a.astype(float).min(axis=0)).max()
    assert found.variation == pytest.approx(change / largest if largest else 0)

    assert found.parity.samples == len(a)
    assert found.parity.agreement == np.mean(a.argmax(1) == b.argmax(1))
    assert found.accuracy is not None
    assert found.accuracy.samples == len(a)
    assert found.accuracy.original == np.mean(a.argmax(1) == labels)
    assert found.accuracy.artifact == np.mean(b.argmax(1) == labels)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(deadline=None)
def test_the_interval_contains_the_estimate_and_stays_in_range(case: tuple[int, int]) -> None:
    right, n = case
    low, high = _wilson(right, n)
    rounding = 1e-12
    assert 0 <= low <= right / n + rounding
    assert right / n - rounding <= high <= 1
    assert low < high
    # Wilson 1927: the interval is centred between estimate and one half.
    z2 = 1.959963984540054**2
    assert (low + high) / 2 == pytest.approx((right + z2 / 2) / (n + z2))


A = np.array([[0.1, 0.9], [0.8, 0.2], [0.4, 0.6]], np.float32)


def test_equal_answers_have_no_error_and_no_sqnr() -> None:
    found = compared({"s": A}, {"s": A})
    assert found.parity.worst.max_absolute == 0
    assert found.parity.worst.sqnr_db is None
    assert found.parity.agreement == 1
    assert found.finite
    assert found.accuracy is None


def test_the_worst_output_counts_not_the_first() -> None:
    other = A.copy()
    other[0, 0] += 0.08
    found = compared({"a": A, "b": A}, {"a": A, "b": other})
    assert found.parity.worst.name == "b"
    assert found.parity.worst.max_relative == pytest.approx(0.1)
    assert found.parity.agreement is None, "two outputs are no classifier"


def test_rounding_of_an_output_that_never_changes_is_no_failure() -> None:
    """Anchors of a detector: their span is 0, and float32 rounds 500 by 3e-5."""
    anchors = np.full((3, 2), 500.0, np.float32)
    found = compared({"a": A, "anchors": anchors}, {"a": A, "anchors": anchors + 3e-5})
    assert found.parity.worst.max_relative < 1e-4
    wrong = compared({"a": A, "anchors": anchors}, {"a": A, "anchors": anchors + 0.1})
    assert wrong.parity.worst.max_relative > 1e-4, "but a wrong one still is"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_noticed(bad: float) -> None:
    other = A.copy()
    other[1, 1] = bad
    assert not compared({"s": A}, {"s": other}).finite
    assert compared({"s": other}, {"s": other}).finite, "the network itself does that"


def test_one_sigmoid_says_yes_above_one_half() -> None:
    a = np.array([[0.4], [0.6], [0.9]], np.float32)
    b = np.array([[0.6], [0.7], [0.8]], np.float32)
    found = compared({"s": a}, {"s": b}, labels=[0, 1, 1], ending="Sigmoid")
    assert found.parity.agreement == pytest.approx(2 / 3)
    assert found.accuracy is not None
    assert (found.accuracy.original, found.accuracy.artifact) == (1, pytest.approx(2 / 3))


def test_labels_make_a_classifier_of_logits() -> None:
    labelled = compared({"s": A}, {"s": A}, labels=[1, 0, 0], ending="BiasAdd")
    assert labelled.accuracy is not None
    assert labelled.accuracy.original == pytest.approx(2 / 3)
    assert labelled.parity.agreement == 1
    assert compared({"s": A}, {"s": A}, ending="BiasAdd").parity.agreement is None


def test_the_filling_of_the_last_batch_is_not_counted() -> None:
    found = compared({"s": A}, {"s": A}, labels=[1, 0, 0], batch=2)
    assert found.parity.samples == 3
    assert found.accuracy is not None
    assert found.accuracy.samples == 3


def test_a_reference_that_never_changes_has_no_variation() -> None:
    same = np.tile(A[:1], (4, 1))
    assert compared({"s": same}, {"s": same}).variation == 0
    assert compared({"s": A}, {"s": A}).variation > 0.5


def test_one_sample_cannot_vary() -> None:
    assert compared({"s": A[:1]}, {"s": A[:1]}).variation == 0


def test_answers_of_another_size_are_not_compared() -> None:
    with pytest.raises(UnverifiableError, match=r"Output 's' has shape \(1, 3\)"):
        compared({"s": A}, {"s": np.zeros((3, 3), np.float32)})


def test_missing_dimensions_of_one_do_not_matter() -> None:
    found = compared({"s": A}, {"s": A.reshape(3, 1, 2, 1)})
    assert found.parity.worst.max_absolute == 0


class Shuffling(Rows):
    """Other samples at every reading."""

    reading = 0

    def samples(self) -> Iterator[Sample]:
        self.reading += 1
        for k in range(self.count):
            yield Sample({"x": np.array([(k + self.reading) % self.count])})


class Shrinking(Shuffling):
    def samples(self) -> Iterator[Sample]:
        self.reading += 1
        yield from list(Rows(self.count).samples())[: self.count + 1 - self.reading]


@pytest.mark.parametrize("kind", [Shuffling, Shrinking])
def test_data_that_change_between_readings_are_refused(kind: type[Rows], tmp_path: Path) -> None:
    """Otherwise a right artifact would be compared with the answers to other questions."""
    network = stand_ins.network({"x": (1, 1)}, {"s": (1, 2)})
    dataset = kind(3)
    record(answering(network, s=A), network, dataset, tmp_path)
    with pytest.raises(DataError, match="differ from one reading to the next") as caught:
        compare(answering(network, s=A), network, dataset, tmp_path)
    assert "shuffling" in caught.value.hint


def test_no_samples_are_an_error(tmp_path: Path) -> None:
    network = stand_ins.network({"x": (1, 1)}, {"s": (1, 2)})
    with pytest.raises(DataError, match="no rows"):
        record(answering(network, s=A), network, Rows(0), tmp_path)


def specs(**shapes: stand_ins.Shape) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, shape, "float32") for name, shape in shapes.items())


def test_names_match_first() -> None:
    ours, theirs = specs(a=(1, 2), b=(1, 2)), specs(b=(1, 2), a=(1, 2), c=(1,))
    assert match(ours, theirs, "input") == {"a": "a", "b": "b"}


def test_one_matches_one() -> None:
    assert match(specs(image=(1, 8, 8, 3)), specs(x=(1, 3, 8, 8)), "input") == {"image": "x"}


def test_shapes_match_where_names_are_lost() -> None:
    ours, theirs = specs(a=(1, 2), b=(1, 8, 1)), specs(p0=(4, 8), p1=(4, 1, 2))
    assert match(ours, theirs, "output") == {"a": "p1", "b": "p0"}


@pytest.mark.parametrize(
    "theirs", [specs(p=(1, 2), q=(1, 2)), specs(p=(1, 3), q=(1, 4)), specs(p=(1, 2))]
)
def test_nothing_is_guessed(theirs: tuple[TensorSpec, ...]) -> None:
    with pytest.raises(UnverifiableError, match="Neither name nor shape tells"):
        match(specs(a=(1, 2), b=(1, 2)), theirs, "input")


def test_feeds_take_the_shape_that_the_artifact_states() -> None:
    inner = stand_ins.network({"p": (2, 3, 1), "q": (None, 4)})
    runtime = Function(inner, lambda feeds: feeds)
    feeds = {"a": np.zeros((2, 3)), "b": np.zeros((7, 4))}
    fed = as_fed(feeds, {"a": "p", "b": "q"}, runtime)
    assert {name: array.shape for name, array in fed.items()} == {"p": (2, 3, 1), "q": (7, 4)}
