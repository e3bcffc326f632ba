"""The mode `declared`: every float16 result rounded once, whatever onnxruntime optimizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.targets.coreml import evaluator
from tests.targets.coreml.evaluator import programs

Array = np.ndarray[Any, np.dtype[Any]]
rng = np.random.default_rng(1)
X = rng.normal(0, 1, (1, 8, 12, 12)).astype(np.float16)
W = rng.normal(0, 0.2, (16, 8, 3, 3)).astype(np.float16)
B = rng.normal(0, 1, 16).astype(np.float16)
M = rng.normal(0, 0.3, (12, 12)).astype(np.float16)


def network(mb: Any, x: Any) -> dict[str, Any]:
    """Patterns that onnxruntime likes to fuse: conv + add + relu, matmul + add, gelu, layer norm."""
    conv = mb.conv(x=x, weight=W, bias=B, pad_type="same", name="conv")
    scaled = mb.mul(x=conv, y=np.float16(0.37), name="scaled")
    added = mb.add(x=scaled, y=conv, name="added")
    relu = mb.relu6(x=added, name="limited")
    product = mb.matmul(x=relu, y=M, name="product")
    shifted = mb.add(x=product, y=np.float16(0.1), name="shifted")
    gelu = mb.gelu(x=shifted, mode="EXACT", name="gelu")
    norm = mb.layer_norm(x=gelu, axes=[-1], name="norm")
    moved = mb.transpose(x=norm, perm=[0, 2, 3, 1], name="moved")
    silu = mb.silu(x=moved, name="silu")
    mean = mb.reduce_mean(x=silu, axes=[1, 2], keep_dims=False, name="mean")
    return {"y": mb.softmax(x=mean, axis=-1), "hidden": mb.mul(x=norm, y=norm)}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return programs.save(tmp_path_factory.mktemp("half") / "n.mlpackage", network, {"x": X})


def representable(array: Array) -> bool:
    return bool((array.astype(np.float16).astype(array.dtype) == array).all())


def test_every_value_is_a_float16(package: Path) -> None:
    trace = evaluator.open(package, "declared").trace({"x": X})
    assert {"conv", "added", "product", "gelu", "norm", "silu", "mean", "y"} <= set(trace)
    assert [name for name, value in trace.items() if not representable(value)] == []


def test_values_are_not_rounded_in_float32(package: Path) -> None:
    trace = evaluator.open(package, "float32").trace({"x": X})
    assert not representable(trace["conv"])
    assert not representable(trace["y"])


def test_the_rounding_survives_optimization(package: Path) -> None:
    """Op by op from numpy: each from the operands that the run itself produced, then one rounding."""
    trace = evaluator.open(package, "declared").trace({"x": X})
    half = lambda a: a.astype(np.float16).astype(np.float32)  # noqa: E731
    assert (trace["scaled"] == half(trace["conv"] * np.float32(np.float16(0.37)))).all()
    assert (trace["added"] == half(trace["scaled"] + trace["conv"])).all()
    assert (trace["limited"] == np.clip(trace["added"], 0, 6)).all()
    assert (trace["shifted"] == half(trace["product"] + np.float32(np.float16(0.1)))).all()
    assert (trace["moved"] == trace["norm"].transpose(0, 2, 3, 1)).all()


def test_run_and_trace_agree(package: Path) -> None:
    """Tapping every value forbids fusions; where nothing but fusion differs, so may the last bit."""
    opened = evaluator.open(package, "declared")
    run, trace = opened.run({"x": X}), opened.trace({"x": X})
    for name, array in run.items():
        assert array.dtype == np.float16
        np.testing.assert_allclose(array, trace[name], rtol=2e-3, atol=2e-3)


def test_runs_are_identical(package: Path) -> None:
    first, second = (evaluator.open(package).run({"x": X}) for _ in range(2))
    assert all((first[name] == second[name]).all() for name in first)


def test_declared_stays_within_the_noise_of_float16(package: Path) -> None:
    half = evaluator.open(package, "declared").run({"x": X})
    full = evaluator.open(package, "float32").run({"x": X})
    for name in half:
        scale = float(np.abs(full[name]).max())
        error = np.abs(half[name].astype(np.float64) - full[name]).max() / scale
        assert 0 < error < 2e-2


BIG = np.array([[300.0, 1.0, 65504.0, 65519.0]], np.float32)


def squares(mb: Any, x: Any) -> dict[str, Any]:
    half = mb.cast(x=x, dtype="fp16", name="half")
    return {"squared": mb.square(x=half), "back": mb.cast(x=half, dtype="fp32")}


def test_overflow_gives_infinity(tmp_path: Path) -> None:
    path = programs.save(tmp_path / "p.mlpackage", squares, {"x": BIG})
    declared = evaluator.open(path, "declared").run({"x": BIG})
    assert np.isinf(declared["squared"]).tolist() == [[True, False, True, True]]
    assert declared["back"].tolist() == [[300, 1, 65504, 65504]]  # 65519 is nearer to 65504
    trace = evaluator.open(path, "float32").trace({"x": BIG})
    assert trace["squared"].tolist() == (BIG**2).tolist()


def test_an_input_of_float16_is_rounded_too(tmp_path: Path) -> None:
    path = programs.save(
        tmp_path / "p.mlpackage", lambda mb, x: {"y": mb.relu(x=x)}, {"x": X[0, 0]}
    )
    fine = X[0, 0].astype(np.float32) + 1e-6
    declared = evaluator.open(path, "declared").run({"x": fine})["y"]
    assert (declared == np.maximum(fine.astype(np.float16), 0)).all()


def test_ties_go_to_even(tmp_path: Path) -> None:
    ties = np.array([[2049.0, 2051.0, 4098.0, 4102.0]], np.float32)
    path = programs.save(
        tmp_path / "p.mlpackage", lambda mb, x: {"y": mb.cast(x=x, dtype="fp16")}, {"x": ties}
    )
    found = evaluator.open(path, "declared").run({"x": ties})["y"]
    assert found.tolist() == [[2048.0, 2052.0, 4096.0, 4104.0]]
