"""The Core ML room: emit ML Programs, run them, look into them."""

from __future__ import annotations

from mlc.targets.coreml.emit import emit
from mlc.targets.coreml.examine import examine
from mlc.targets.coreml.inspect import declares, inspect, recognises
from mlc.targets.coreml.runtime import native, open

__all__ = [
    "SUFFIX",
    "TITLE",
    "declares",
    "emit",
    "examine",
    "inspect",
    "native",
    "open",
    "recognises",
]

TITLE = "Core ML"
SUFFIX = ".mlpackage"
