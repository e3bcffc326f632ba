"""TF.js: a graph model for browsers, proven by TF.js itself under Node."""

from mlc.targets.tfjs.artifact import declares, inspect, recognises
from mlc.targets.tfjs.emit import emit
from mlc.targets.tfjs.runtime import open

__all__ = ["SUFFIX", "TITLE", "declares", "emit", "inspect", "open", "recognises"]

TITLE = "TF.js"
SUFFIX = ""
