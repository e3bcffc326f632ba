"""Roundings between convolutions: all in their place, and the same bits as without the trick."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc.targets.coreml.evaluator import layout
from mlc.targets.coreml.evaluator.layout import laid_out
from mlc.targets.coreml.evaluator.lowering import Mode, carrier, lower
from mlc.targets.coreml.evaluator.program import load
from mlc.targets.coreml.evaluator.session import open_session, run
from tests.targets.coreml.evaluator import programs

rng = np.random.default_rng(6)
X = rng.normal(0, 1, (1, 16, 12, 12)).astype(np.float32)


def kernel(out: int, into: int, size: int = 3) -> Any:
    return rng.normal(0, 0.1, (out, into, size, size)).astype(np.float16)


def residual(mb: Any, x: Any) -> dict[str, Any]:
    """A sum that onnxruntime would compute inside of the convolution, were it not for the rounding."""
    x = mb.cast(x=x, dtype="fp16")
    a = mb.relu6(x=mb.conv(x=x, weight=kernel(16, 16), pad_type="same"))
    b = mb.conv(x=a, weight=kernel(16, 1), groups=16, pad_type="same")
    c = mb.relu(x=mb.add(x=b, y=x))
    d = mb.conv(x=c, weight=kernel(32, 16, 1), strides=[2, 2])
    return {"y": mb.cast(x=d, dtype="fp32"), "c": mb.cast(x=c, dtype="fp32")}


def branches(mb: Any, x: Any) -> dict[str, Any]:
    x = mb.cast(x=x, dtype="fp16")
    a = mb.conv(
        x=x, weight=kernel(16, 16), bias=rng.normal(size=16).astype("float16"), pad_type="same"
    )
    pooled = mb.max_pool(x=mb.relu(x=a), kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid")
    means = mb.avg_pool(x=mb.tanh(x=a), kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid")
    joined = mb.concat(values=[pooled, means, mb.sigmoid(x=means)], axis=1)
    scaled = mb.mul(x=joined, y=mb.reduce_mean(x=joined, axes=[2, 3], keep_dims=True))
    return {"y": mb.cast(x=mb.conv(x=scaled, weight=kernel(8, 48, 1)), dtype="fp32")}


def partly_float32(mb: Any, x: Any) -> dict[str, Any]:
    """Ops that are kept in float32 are not rounded, and those behind them are."""
    wide = mb.relu(x=mb.conv(x=x, weight=kernel(16, 16).astype("float32"), pad_type="same"))
    half = mb.conv(x=mb.cast(x=wide, dtype="fp16"), weight=kernel(16, 16), pad_type="same")
    return {"y": mb.cast(x=mb.relu(x=half), dtype="fp32"), "wide": wide}


NETWORKS = {f.__name__: f for f in (residual, branches, partly_float32)}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Mode], Any]:
    """The lowered ONNX model of a network."""
    folder = tmp_path_factory.mktemp("layout")

    def model(name: str, mode: Mode = "declared") -> Any:
        path = folder / f"{name}.mlpackage"
        if not path.exists():
            programs.save(path, NETWORKS[name], {"x": X})
        program = load(path)
        graph = lower(program, mode)
        return graph.model(
            [(v.name, v.type) for v in program.block.inputs],
            [(graph.tensor(v), carrier(v.type.dtype)) for v in program.block.outputs],
        )

    return model


def count(model: Any) -> int:
    """Casts to float16: one for each rounding."""
    return sum(n.op_type == "Cast" and n.attribute[0].i == 10 for n in model.graph.node)


@pytest.fixture(scope="module", params=NETWORKS)
def sessions(request: pytest.FixtureRequest, models: Callable[..., Any]) -> tuple[Any, Any]:
    """A network without the trick and with it."""
    model = models(request.param)
    return open_session(model), open_session(laid_out(model))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-6, 1.0, 3e3, 1e7]))
def test_the_same_bits(sessions: tuple[Any, Any], seed: int, scale: float) -> None:
    """Zeros, ordinary values, some that overflow, and infinities with the NaN that they make."""
    x = np.random.default_rng(seed).normal(0, scale, X.shape).astype(np.float32)
    for plain, fast in zip(*(run(session, {"x": x}) for session in sessions), strict=True):
        np.testing.assert_array_equal(plain, fast)


@pytest.mark.parametrize(
    ("name", "roundings"), [("residual", 5), ("branches", 8), ("partly_float32", 2)]
)
def test_every_rounding_is_there(name: str, roundings: int, models: Callable[..., Any]) -> None:
    before = models(name)
    after = laid_out(before)
    assert after is not before
    assert (count(before), count(after)) == (roundings, roundings)
    assert not any(a.s == b"Relu" for n in after.graph.node for a in n.attribute)


def test_layouts_are_kept(models: Callable[..., Any]) -> None:
    kinds = [n.op_type for n in laid_out(models("residual")).graph.node]
    assert kinds.count("Conv") + kinds.count("FusedConv") == 3
    assert kinds.count("ReorderInput") <= 2, "the input, and as the other summand"


def test_without_roundings_there_is_nothing_to_do(models: Callable[..., Any]) -> None:
    model = models("residual", "float32")
    assert laid_out(model) is model


def test_a_lost_rounding_is_noticed(
    models: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = layout.written_optimized

    def losing(model: Any, to: Path, without: list[str]) -> None:
        relu = next(n for n in model.graph.node if n.op_type == "Relu")
        relu.op_type = "Identity"
        written(model, to, without)

    monkeypatch.setattr(layout, "written_optimized", losing)
    model = models("residual")
    assert laid_out(model) is model
