"""Packages that several modules of this room look at."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from mlc.convert.network import Network
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import named
from mlc.targets.coreml import emit
from mlc.targets.target import Options


@pytest.fixture(scope="session")
def package(
    frozen: Callable[..., Network], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """The package of a network of `tests/networks.py`, made once."""

    @cache
    def make(name: str, recipe: str, ios: int = 17) -> Path:
        path = tmp_path_factory.mktemp(name) / f"{recipe}.mlpackage"
        emit(frozen(name), Plan(named(recipe)), None, Options(ios=ios), path)
        return path

    return make
