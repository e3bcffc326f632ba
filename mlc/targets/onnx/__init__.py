"""ONNX: `.onnx` files for servers, Windows, Android and browsers, run here by onnxruntime."""

from mlc.targets.onnx.emit import emit
from mlc.targets.onnx.inspect import inspect, recognises
from mlc.targets.onnx.runtime import open

__all__ = ["SUFFIX", "TITLE", "emit", "inspect", "open", "recognises"]

TITLE = "ONNX"
SUFFIX = ".onnx"
