"""Open a Core ML package for running: by mlc's evaluator everywhere, and by Core ML itself on a Mac."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mlc.convert.network import TensorSpec
from mlc.convert.preprocessing import Preprocessing
from mlc.errors import UnverifiableError
from mlc.targets.coreml import metadata, package
from mlc.targets.coreml.inspect import feature_specs
from mlc.targets.target import Array, Arrays, Runtime

__all__ = ["AsNetwork", "CoreML", "feeding", "native", "open"]

# The oldest macOS that loads a package, by its specification version.
_MACOS = {6: 12, 7: 13, 8: 14, 9: 15, 10: 26}

Feeding = Callable[[Arrays], Arrays]


def open(path: Path) -> Runtime:
    """Load the package from disk. Raises `UnverifiableError` where the evaluator cannot run it.

    A package that mlc wrote is run as its network: the same names, shapes and tensors, whether the
    package takes tensors or a picture (see `AsNetwork`). Any other is run as it is.
    """
    spec = package.read_spec(path)
    kind = spec.WhichOneof("Type")
    if kind != "mlProgram":
        raise UnverifiableError(
            f"{path.name} is a Core ML {kind}, an older format than the ML Program that mlc runs.",
            "Convert its source again with mlc build.",
        )
    from mlc.targets.coreml import evaluator

    return _as_network(evaluator.open(path, mode="declared"), spec)


def native(path: Path) -> Runtime | None:
    """Core ML itself, where this host is a Mac, running the package as `open` does.

    Raises `UnverifiableError` where the package is for a later macOS.
    """
    macos = platform.mac_ver()[0]
    if not macos:
        return None
    spec = package.read_spec(path)
    needed = _MACOS.get(spec.specificationVersion, max(_MACOS.values()))
    if int(macos.partition(".")[0]) < needed:
        raise UnverifiableError(
            f"{path.name} is for macOS {needed} and later; this is macOS {macos}.",
            "Build it with a lower --ios, or validate it on a later macOS.",
        )
    return _as_network(CoreML(path), spec)


def _as_network(runtime: Runtime, spec: Any) -> Runtime:
    network = metadata.stored_interface(spec)
    return runtime if network is None else AsNetwork(runtime, network, feeding(spec))


def feeding(spec: Any) -> Feeding:
    """How feeds of the runtime that `open` gives become feeds of the package itself."""
    network = metadata.stored_interface(spec)
    pictures = {f.name for f in spec.description.input if f.type.WhichOneof("Type") == "imageType"}
    preprocessing = network.preprocessing if network else None
    if preprocessing is None or not pictures:
        return lambda feeds: feeds
    return lambda feeds: {
        name: _pixels(preprocessing, array) if name in pictures else array
        for name, array in feeds.items()
    }


class AsNetwork:
    """A package behind the interface of the network it was made of.

    The network takes a tensor that was preprocessed; the package may take a picture and preprocess it
    itself. Then the declared formula is inverted, `pixel = (tensor * std + mean) / scale`, and the
    package gets the pixels: what its preprocessing makes of them must again be the tensor. Pixels
    within 0.001 of a whole number are that number, so photographs come back exactly.
    """

    def __init__(
        self, runtime: Runtime, network: metadata.NetworkInterface, feeding: Feeding
    ) -> None:
        self.runtime = runtime
        self.name, self.timed = runtime.name, runtime.timed
        self.inputs, self.outputs = network.inputs, network.outputs
        self._feeding = feeding

    def run(self, feeds: Arrays) -> dict[str, Array]:
        """Run one batch of the network's own tensors."""
        results = self.runtime.run(self._feeding({s.name: feeds[s.name] for s in self.inputs}))
        return {s.name: self._result(s, results[s.name]) for s in self.outputs}

    def close(self) -> None:
        """Close the runtime behind it."""
        self.runtime.close()

    def _result(self, spec: TensorSpec, array: Array) -> Array:
        """A classifier made of one sigmoid has a column for the other class, which comes first."""
        if len(spec.shape) == 2 and spec.shape[1] == 1 and array.shape[1] == 2:
            array = array[:, 1:]
        return array.astype(spec.dtype, copy=False)


class CoreML:
    """Core ML itself, through coremltools, on a Mac. Pictures are rounded to whole pixels there.

    mlc is developed on Linux: the tests there put a stand-in in the place of `MLModel.predict`.
    """

    name = "Core ML"
    timed = True

    def __init__(self, path: Path) -> None:
        import coremltools

        from mlc.targets.coreml.evaluator.program import load

        self._model = coremltools.models.MLModel(str(path))
        classifiers = [op for op in load(path).block.walk() if op.kind == "classify"]
        self._labels = [s for op in classifiers for s in op.parameters["classes"][0].constant]
        self._description = self._model.get_spec().description
        self.inputs, self.outputs = feature_specs(self._model.get_spec())

    def run(self, feeds: Arrays) -> dict[str, Array]:
        """Run one batch; a dictionary of labels comes back as a row in the order of the labels."""
        given = {
            f.name: _for_core_ml(f, np.asarray(feeds[f.name])) for f in self._description.input
        }
        results: dict[str, Any] = self._model.predict(given)
        scores = self._description.predictedProbabilitiesName
        if scores in results:
            row = [results[scores][label] for label in self._labels]  # a dictionary has no order
            results[scores] = np.asarray([row], np.float32)
        return {name: value for name, value in results.items() if isinstance(value, np.ndarray)}

    def close(self) -> None:
        """Let Core ML free the model."""
        self._model = None


def _pixels(preprocessing: Preprocessing, tensor: Array) -> Array:
    """The picture, red first, that the declared preprocessing turns into this tensor."""
    std, mean = np.asarray(preprocessing.std), np.asarray(preprocessing.mean)
    pixels = (tensor.astype(np.float64) * std + mean) / preprocessing.scale
    whole = np.round(pixels)
    pixels = np.where(np.abs(pixels - whole) < 1e-3, whole, pixels)
    return (pixels[..., ::-1] if preprocessing.color == "bgr" else pixels).astype(np.float32)


def _for_core_ml(feature: Any, array: Array) -> Any:
    from PIL import Image

    if feature.type.WhichOneof("Type") != "imageType":
        integer = feature.type.multiArrayType.dataType == feature.type.multiArrayType.INT32
        return array.astype(np.int32 if integer else np.float32)
    picture = np.round(array[0]).astype(np.uint8)
    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
