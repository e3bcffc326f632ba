"""TFLite: `.tflite` files for Android, iOS and microcontrollers, run here by LiteRT."""

from mlc.targets.tflite.emit import emit
from mlc.targets.tflite.inspect import declares, inspect, recognises
from mlc.targets.tflite.runtime import open

__all__ = ["SUFFIX", "TITLE", "declares", "emit", "inspect", "open", "recognises"]

TITLE = "TFLite"
SUFFIX = ".tflite"
