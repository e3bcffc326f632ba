"""A trained network, real digits for it, and training as a call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mlc.convert.graph import Program
from mlc.convert.network import Description, Network
from mlc.convert.read import ReadOptions, read
from mlc.data.dataset import Dataset, open_data
from mlc.optimize.optimize import simplify
from mlc.optimize.plan import Plan
from mlc.optimize.training.examples import Examples, collect, open_examples
from mlc.optimize.training.record import Trained
from mlc.optimize.training.student import Phase
from mlc.optimize.training.train import train

DIGITS = Path(__file__).parents[3] / "examples" / "digits" / "digits.keras"


@pytest.fixture(scope="session")
def digits() -> Network:
    """The digits example: 98 % right, 24 k parameters, depthwise convolutions, simplified."""
    return simplify(read(DIGITS, Description("digits"), ReadOptions()))[0]


@pytest.fixture(scope="session")
def data(digits: Network, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """320 of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    file = tmp_path_factory.mktemp("digits") / "digits.npz"
    pixels = loaded.images[:320, ..., np.newaxis].astype(np.float32)
    np.savez(file, x=pixels, y=loaded.target[:320])
    return open_data(str(file), digits, 1000)


@pytest.fixture(scope="session")
def samples(digits: Network, data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Them, and what the network says of each, as the stage leaves them."""
    folder = tmp_path_factory.mktemp("samples")
    collect(folder, data, digits)
    return folder


@pytest.fixture(scope="session")
def examples(digits: Network, samples: Path) -> Examples:
    return open_examples(samples, digits)


@dataclass(frozen=True)
class Done:
    """What one phase left."""

    network: Network
    record: Trained
    plan: Plan | None

    def constant(self, name: str) -> np.ndarray:  # type: ignore[type-arg]
        values: np.ndarray = Program.of(self.network).main.constant_value(name)  # type: ignore[type-arg]
        return values


Run = Callable[..., Done]


@pytest.fixture(scope="session")
def run(digits: Network, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train the digits network, or another one that the digits network teaches."""

    def run(
        phase: Phase, epochs: int = 2, network: Network = digits, folder: Path | None = None
    ) -> Done:
        folder = folder or tmp_path_factory.mktemp("trained")
        record, plan = train(folder, network, digits, phase, epochs, samples, "digits")
        return Done(Network.load(folder), record, plan)

    return run
