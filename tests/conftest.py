"""Fixtures that many rooms share. What is costly is made once per session."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from mlc.convert.network import Description, Network
from mlc.convert.read import ReadOptions, from_model
from tests import networks
from tests.command import Built, build

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor fill the user's stages; packages of npm are kept, they never change."""
    from mlc.store import cache_folder

    folder = tmp_path_factory.mktemp("cache")
    kept = cache_folder() / "node"
    kept.mkdir(parents=True, exist_ok=True)
    (folder / "node").symlink_to(kept)
    before = os.environ.get("MLC_CACHE")
    os.environ["MLC_CACHE"] = str(folder)
    yield
    if before is None:
        del os.environ["MLC_CACHE"]
    else:
        os.environ["MLC_CACHE"] = before


@pytest.fixture(scope="session")
def frozen() -> Callable[..., Network]:
    """A network of `tests/networks.py` by name, frozen; batch 1 unless told."""

    @cache
    def freeze(name: str, batch: int | None = 1) -> Network:
        return from_model(
            networks.make(name), Description(name, author="A. Tester"), ReadOptions(batch=batch)
        )

    return freeze


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A whole build; tests that use it belong to the xdist group "build", so that it is made once."""
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real models and pictures beside the checkout, where there are any."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data beside this checkout: real models are not tested")
    return SHARED
