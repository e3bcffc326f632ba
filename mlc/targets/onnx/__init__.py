"""ONNX: `.onnx` files for servers, Windows, Android and browsers, run here by onnxruntime."""

from mlc.targets.onnx.emit import emit
from mlc.targets.onnx.inspect import declares, inspect, recognises
from mlc.targets.onnx.runtime import open

__all__ = ["SUFFIX", "TITLE", "declares", "emit", "inspect", "open", "recognises"]

TITLE = "ONNX"
SUFFIX = ".onnx"
