"""The parts of the stock converter that this room uses, imported without the parts it doesn't."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

__all__ = ["conversion", "passes", "writer"]

# Imported by `tf_saved_model_conversion_v2` for decision forests and hub modules; nothing that this
# room calls touches them. The second imports `pkg_resources`, which takes most of the time.
_UNUSED = ("tensorflow_decision_forests", "tensorflow_hub")

# Packages whose `__init__` imports the whole command line: jax, flax, pandas, h5py.
_SHELLS = ("tensorflowjs", "tensorflowjs.converters")


def conversion() -> Any:
    """`tensorflowjs.converters.tf_saved_model_conversion_v2`."""
    return _module("tensorflowjs.converters.tf_saved_model_conversion_v2")


def passes(name: str) -> Any:
    """A rewriting module of `tensorflowjs.converters`, by name."""
    return _module(f"tensorflowjs.converters.{name}")


def writer() -> Any:
    """`tensorflowjs.write_weights`."""
    return _module("tensorflowjs.write_weights")


def _module(name: str) -> Any:
    if name not in sys.modules:
        with _stand_ins():
            importlib.import_module(name)
    return sys.modules[name]


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Put empty modules where heavy unused ones would be imported, for as long as this lasts.

    A shell keeps the real package's `__path__`, so its submodules are found, but not its `__init__`.
    Afterwards the stand-ins are gone: who imports the whole package later gets the whole package.
    """
    placed = []
    for name in (*_SHELLS, *_UNUSED):
        if name in sys.modules:
            continue
        stand_in = ModuleType(name)
        if name in _SHELLS:
            spec = importlib.util.find_spec(name)
            if spec is None:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            stand_in.__path__ = list(spec.submodule_search_locations or ())
        sys.modules[name] = stand_in
        placed.append(name)
    try:
        yield
    finally:
        for name in placed:
            del sys.modules[name]
