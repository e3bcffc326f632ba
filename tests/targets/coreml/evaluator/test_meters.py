"""Figures of every value, against the values themselves; and that they cost no memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlc.targets.coreml import evaluator
from mlc.targets.coreml.evaluator import Evaluator, Mode
from mlc.targets.coreml.evaluator.meters import Figures
from tests.targets.coreml.evaluator import programs

rng = np.random.default_rng(3)
X = rng.normal(0, 1, (1, 4, 6, 6)).astype(np.float32)
W = rng.normal(0, 1, (5, 4, 3, 3)).astype(np.float16)
B = rng.normal(0, 1, 5).astype(np.float16)
M = rng.normal(0, 1, (6, 3)).astype(np.float16)


def network(mb: Any, x: Any) -> dict[str, Any]:
    x = mb.cast(x=x, dtype="fp16", name="half")
    conv = mb.conv(x=x, weight=W, bias=B, pad_type="same", name="conv")
    squared = mb.square(x=conv, name="squared")
    pooled = mb.avg_pool(
        x=squared, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid", name="pool"
    )
    mean = mb.reduce_mean(x=squared, axes=[2], keep_dims=False, name="mean")
    product = mb.matmul(x=mean, y=M, name="product")
    return {"y": mb.cast(x=product, dtype="fp32"), "z": mb.relu(x=mb.exp(x=pooled, name="exp"))}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return programs.save(tmp_path_factory.mktemp("meters") / "n.mlpackage", network, {"x": X})


@pytest.fixture(scope="module")
def opened(package: Path) -> dict[Mode, Evaluator]:
    return {mode: evaluator.open(package, mode) for mode in ("float32", "declared")}


def expected(value: Any) -> tuple[float, float, bool, bool, int]:
    nan, infinite = bool(np.isnan(value).any()), bool(np.isinf(value).any())
    return float(value.min()), float(value.max()), infinite and not nan, nan, value.size


# Sizes at which some values overflow, some vanish, and all is well.
@given(
    arrays(np.float32, X.shape, elements=st.floats(-1, 1, width=32)),
    st.sampled_from([1e-9, 1e-4, 1.0, 30.0, 3e4, 1e9]),
)
@settings(max_examples=25, deadline=None)
def test_figures_are_those_of_the_values(
    opened: dict[Mode, Evaluator], x: Any, scale: float
) -> None:
    feeds = {"x": (x * np.float32(scale)).astype(np.float32)}
    for mode, opened_so in opened.items():
        trace, measured = opened_so.trace(feeds), opened_so.measure(feeds)
        assert set(measured.values) == set(trace)
        for name, value in trace.items():
            low, high, infinite, nan, size = expected(value)
            figures = measured.values[name]
            assert (figures.infinite, figures.nan, figures.size) == (infinite, nan, size), name
            if figures.finite:  # before the rounding, so half a unit of float16 beside it
                assert figures.lowest == pytest.approx(low, rel=1e-3, abs=1e-7), name
                assert figures.highest == pytest.approx(high, rel=1e-3, abs=1e-7), name
            assert figures.flushed == 0 or mode == "declared"


def test_outputs_are_those_of_a_trace(opened: dict[Mode, Evaluator]) -> None:
    for opened_so in opened.values():
        trace, measured = opened_so.trace({"x": X}), opened_so.measure({"x": X})
        for name, array in measured.outputs.items():
            np.testing.assert_array_equal(array, trace[name].astype(array.dtype))


def test_sums_of_magnitudes(opened: dict[Mode, Evaluator]) -> None:
    """Against numpy in float64; a mean adds up as many elements as it divides by."""
    trace = opened["float32"].trace({"x": X})
    sums = opened["float32"].measure({"x": X}).sums
    assert set(sums) == {"conv", "pool", "mean", "product"}, "of float16 results, and no others"
    squared = trace["squared"].astype(np.float64)
    assert sums["mean"] == pytest.approx(squared.sum(axis=2).max(), rel=1e-5)
    windows = squared.reshape(1, 5, 3, 2, 3, 2).sum(axis=(3, 5))
    assert sums["pool"] == pytest.approx(windows.max(), rel=1e-5)
    product = np.abs(trace["mean"].astype(np.float64)) @ np.abs(M.astype(np.float64))
    assert sums["product"] == pytest.approx(product.max(), rel=1e-5)
    padded = np.pad(np.abs(X[0].astype(np.float64)), ((0, 0), (1, 1), (1, 1)))
    kernel = np.abs(W.astype(np.float64))
    conv = [
        np.abs(B[o]) + (padded[:, r : r + 3, c : c + 3] * kernel[o]).sum()
        for o in range(5)
        for r in range(6)
        for c in range(6)
    ]
    assert sums["conv"] == pytest.approx(max(conv), rel=1e-5)
    assert opened["declared"].measure({"x": X}).sums == {}


def test_what_vanishes_is_counted(opened: dict[Mode, Evaluator]) -> None:
    feeds = {"x": np.full_like(X, 2e-8)}  # under half of the smallest float16
    feeds["x"][0, 0] = 1e-7
    figures = opened["declared"].measure(feeds).values["half"]
    assert (figures.flushed, figures.size) == (3 * 36, 4 * 36)


def test_figures_add_up() -> None:
    first, second = Figures(-1, 2, False, False, 3, 10), Figures(-5, 1, True, False, 0, 10)
    assert Figures() + first == first
    both = first + second
    assert (both.lowest, both.highest, both.flushed, both.size) == (-5, 2, 3, 20)
    assert both.largest == np.inf
    assert first.largest == 2
    assert np.isnan((both + Figures(nan=True)).largest)


def deep(mb: Any, x: Any) -> dict[str, Any]:
    for _ in range(40):
        x = mb.relu(x=mb.mul(x=x, y=np.float16(1.5)))
    return {"y": mb.reduce_max(x=x, axes=[2, 3])}


def test_memory_does_not_grow_with_the_number_of_values(tmp_path: Path) -> None:
    """80 values of 8 MB are 671 MB; a run needs two or three of them at once."""
    x = np.zeros((1, 8, 512, 512), np.float16)
    path = programs.save(tmp_path / "deep.mlpackage", deep, {"x": x})
    script = (
        "import resource, sys, numpy as np; from mlc.targets.coreml import evaluator\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "x = np.zeros((1, 8, 512, 512), np.float16)\n"
        "opened = evaluator.open(sys.argv[1]); opened.run({'x': x}); before = peak()\n"
        "opened.close(); opened.measure({'x': x}); print(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True
    )
    assert float(done.stdout) < 150, "MB more than a run needs"
