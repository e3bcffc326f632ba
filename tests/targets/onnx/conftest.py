"""Networks and emissions that the files of this room share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.freeze import freeze
from mlc.convert.network import Description, Network, Provenance, TensorSpec
from mlc.optimize.optimize import Request, make_plan, simplify
from mlc.optimize.recipe import named
from mlc.targets import onnx
from mlc.targets.target import Arrays, Calibration, Emission, Options

Emit = Callable[..., Emission]


def network_of(call: Callable[[Any], Any], *inputs: TensorSpec) -> Network:
    return freeze(
        call,
        inputs,
        Provenance("model.keras", "Keras 3.0", "c0ffee"),
        Description("tiny", "2.0.0", "A. Tester", "MIT", "Says what is in a picture."),
    )


def noise(network: Network, count: int = 1, seed: int = 0) -> Arrays:
    """Inputs of `count` samples: normal noise, or integers below 40."""
    rng = np.random.default_rng(seed)
    return {
        s.name: (
            rng.normal(size=(count, *s.shape[1:]))  # type: ignore[arg-type]
            if s.dtype == "float32"
            else rng.integers(0, 40, (count, *s.shape[1:]))  # type: ignore[arg-type]
        ).astype(s.dtype)
        for s in network.inputs
    }


def calibration_of(network: Network, samples: int = 32, batch: int = 1) -> Calibration:
    return lambda: (noise(network, batch, seed) for seed in range(samples // batch))


@pytest.fixture(scope="session")
def emit(frozen: Callable[..., Network], tmp_path_factory: pytest.TempPathFactory) -> Emit:
    """A file of a network of `tests/networks.py`, each made once."""

    @cache
    def build(name: str, recipe: str, batch: int | None = 1, calibrated: bool = True) -> Emission:
        network = frozen(name, batch)
        calibration = calibration_of(network) if calibrated else None
        return write(network, tmp_path_factory.mktemp("onnx"), recipe, calibration=calibration)

    return build


def write(network: Network, folder: Path, recipe: str = "fp32", **options: Any) -> Emission:
    """Emit as a build does: simplified, planned on `calibration` where it is given."""
    simpler, _ = simplify(network)
    plan = make_plan(simpler, Request(named(recipe), options.get("calibration")))
    opset = Options(opset=options.get("opset", 17))
    return onnx.emit(simpler, plan, None, opset, folder / f"{recipe}.onnx")
