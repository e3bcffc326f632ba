"""Which weights are told to have come out badly."""

from __future__ import annotations

import numpy as np
import pytest

from mlc.targets.coreml.weight_errors import remarks, sqnr


def test_decibels() -> None:
    before = np.array([3.0, 4.0], np.float32)
    assert sqnr(before, before) == np.inf
    assert sqnr(before, before + np.array([0.0, 0.5])) == pytest.approx(20)
    assert sqnr(np.zeros(2), before) == -np.inf
    assert np.isnan(sqnr(before, np.array([np.nan, 1])))


def test_a_weight_that_stands_out_is_told() -> None:
    assert not remarks({"a": 41.0, "b": 38.0, "same": np.inf}, bits=8)
    assert not remarks({"a": 9.0, "b": 8.0}), "two bits, or pruned: no worse than the others"
    (sentence,) = remarks({"a": 41.0, "b": 40.0, "c": 22.0}, bits=8)
    assert sentence.startswith("1 of 3 compressed weights are below 28 dB")
    assert "the worst is c with 22.0 dB" in sentence
    assert "2 of 2" in remarks({"a": 9.0, "b": 8.0}, bits=8)[0], "all alike, and all wrong"
    assert remarks({"nan": float("nan"), "b": 40.0}, bits=8), "not a number is not good"
    assert not remarks({})
