"""Compile a trained Keras or SavedModel network for phones and browsers, and prove its artifacts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlc.api import build, inspect, open, validate

__all__ = ["__version__", "build", "inspect", "open", "validate"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load the API on first use, so that `import mlc` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'mlc' has no attribute {name!r}")
    api = importlib.import_module("mlc.api")
    # Bound here and now: importing a submodule of the same name would put itself in this place.
    globals().update({public: getattr(api, public) for public in api.__all__})
    return globals()[name]
