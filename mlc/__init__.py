"""Compile a trained Keras or SavedModel network for phones and browsers, and prove its artifacts."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlc.api import build, inspect, open, validate

__all__ = ["__version__", "build", "inspect", "open", "validate"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load the API on first use, so that `import mlc` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'mlc' has no attribute {name!r}")
    return getattr(importlib.import_module("mlc.api"), name)


class _Package(ModuleType):
    """A package whose public names are not overwritten by the modules that are called the same."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
