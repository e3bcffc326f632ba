"""Runs the ML Program inside a `.mlpackage` on Linux, macOS and Windows, without Core ML.

The package on disk is read (protobuf and weight file), lowered to ONNX op by op and executed by
onnxruntime. Two modes say what that proves:

- `float32`: every float is computed in float32. Proves the graph and the weights.
- `declared`: computed in float32, then each result rounded once to the type that the program declares,
  which for a float16 program is what a device is asked to do.

Neither is a measurement of a device: Core ML may fuse ops, accumulate in another order or in float16,
and approximate functions. What the evaluator does not implement to the letter it refuses by name
(`UnverifiableError`); it never ignores a parameter.
"""

from __future__ import annotations

from pathlib import Path

from mlc.targets.coreml.evaluator import weights
from mlc.targets.coreml.evaluator.evaluate import Evaluator, Image
from mlc.targets.coreml.evaluator.lowering import Mode, honoured

__all__ = ["Evaluator", "Image", "Mode", "honoured", "open", "weights"]


def open(path: Path | str, mode: Mode = "declared") -> Evaluator:
    """Open a package. Raises `UnverifiableError` for what the evaluator does not implement."""
    return Evaluator(Path(path), mode)
