"""Tiny graphs written in TensorFlow itself, frozen like any source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.freeze import freeze
from mlc.convert.network import Description, Network, Provenance, TensorSpec
from mlc.optimize.optimize import Request, make_plan
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import named
from mlc.targets import tfjs
from mlc.targets.target import Options, Runtime

Emit = Callable[..., Path]
Open = Callable[[Path], Runtime]
IMAGE = TensorSpec("image", (1, 8, 8, 4), "float32")


def network(call: Callable[..., Any], *inputs: TensorSpec, outputs: Sequence[str] = ()) -> Network:
    """Freeze `call(*tensors)`; its result is the output `scores`, or those named."""

    def by_name(tensors: Any) -> dict[str, Any]:
        results = call(*(tensors[spec.name] for spec in inputs))
        return dict(zip(outputs, results, strict=True)) if outputs else {"scores": results}

    return freeze(by_name, inputs, Provenance("tiny.keras", "test", "ab" * 32), Description("tiny"))


def weights(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def feed(spec: TensorSpec, batch: int = 1) -> np.ndarray[Any, Any]:
    shape = [batch if d is None else d for d in spec.shape]
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(spec.dtype)


@pytest.fixture
def emit(tmp_path: Path) -> Emit:
    def emit(network: Network, recipe: str = "fp32") -> Path:
        path = tmp_path / recipe
        plan = make_plan(network, Request(named(recipe)))
        tfjs.emit(network, plan, None, Options(), path)
        return path

    return emit


@pytest.fixture
def assert_equal(emit: Emit) -> Callable[..., Runtime]:
    """Emit, run and compare with TensorFlow; returns the runtime, closed."""

    def check(network: Network, batch: int = 1, tolerance: float = 1e-5) -> Runtime:
        feeds = {spec.name: feed(spec, batch) for spec in network.inputs}
        expected = Reference(network).run(feeds)
        with closing(tfjs.open(emit(network))) as runtime:
            found = runtime.run(feeds)
        for name, values in expected.items():
            scale = np.ptp(values)
            assert scale > 1e-3, "the reference does not vary: this test would prove nothing"
            np.testing.assert_allclose(found[name], values, atol=tolerance * scale)
        return runtime

    return check


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole artifact of one matrix product, not to be changed."""
    path = tmp_path_factory.mktemp("tfjs") / "whole"
    kernel = weights(4, 3)
    tiny = network(lambda x: x @ kernel, TensorSpec("x", (None, 4), "float32"))
    tfjs.emit(tiny, Plan(named("fp32")), None, Options(), path)
    return path


@pytest.fixture
def runtime(artifact: Path) -> Iterator[Runtime]:
    with closing(tfjs.open(artifact)) as opened:
        yield opened
