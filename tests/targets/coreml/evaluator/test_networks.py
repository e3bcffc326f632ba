"""Keras networks converted for real, each evaluated in both modes, against TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.network import Network, TensorSpec
from mlc.targets.coreml import evaluator
from tests import networks

Array = np.ndarray[Any, np.dtype[Any]]
Freeze = Callable[..., Network]


def data(spec: TensorSpec, rng: Any) -> Array:
    shape = tuple(1 if d is None else d for d in spec.shape)
    if spec.dtype.startswith("int"):
        return rng.integers(0, 10, shape).astype(spec.dtype)
    if spec.name == "image":
        return rng.uniform(0, 255, shape).astype(np.float32)
    return rng.normal(0, 1, shape).astype(np.float32)


def worst(name: str, path: Path, mode: evaluator.Mode, frozen: Freeze) -> float:
    """The largest error over three inputs, relative to the range of the output."""
    network, opened = frozen(name), evaluator.open(path, mode)
    reference = Reference(network)
    rng = np.random.default_rng(5)
    errors = []
    for _ in range(3):
        feeds = {spec.name: data(spec, rng) for spec in network.inputs}
        found, expected = opened.run(feeds), reference.run(feeds)
        assert set(found) == set(expected)
        for output, wanted in expected.items():
            scale = max(1e-3, float(np.ptp(wanted)))
            errors.append(float(np.abs(found[output] - wanted).max()) / scale)
    return max(errors)


@pytest.mark.parametrize("name", sorted(networks.BUILDERS))
def test_float32(name: str, package: Callable[..., Path], frozen: Freeze) -> None:
    assert worst(name, package(name, "fp32"), "float32", frozen) <= 1e-5


@pytest.mark.parametrize("name", ["cnn", "lstm", "gru", "attention", "unet", "text"])
def test_declared_float16(name: str, package: Callable[..., Path], frozen: Freeze) -> None:
    path = package(name, "fp16")
    assert 0 < worst(name, path, "declared", frozen) < 2e-2
    assert worst(name, path, "float32", frozen) < 2e-2


def test_int8_weights(package: Callable[..., Path], frozen: Freeze) -> None:
    assert worst("cnn", package("cnn", "int8"), "declared", frozen) < 0.1
