"""Random numbers that don't depend on the tests before."""

from __future__ import annotations

import numpy as np
import pytest

from tests.optimize.passes import graphs


@pytest.fixture(autouse=True)
def _own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "RNG", np.random.default_rng(0))
