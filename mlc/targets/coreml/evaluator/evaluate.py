"""Runs a lowered program in onnxruntime: the runtime of this room on every system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlc.convert.network import TensorSpec
from mlc.errors import DataError, UnverifiableError
from mlc.targets.coreml.evaluator.layout import laid_out
from mlc.targets.coreml.evaluator.lowering import Graph, Mode, carrier, lower
from mlc.targets.coreml.evaluator.meters import Measurement, Meters
from mlc.targets.coreml.evaluator.program import Program, Type, Value, load
from mlc.targets.coreml.evaluator.session import open_session, run
from mlc.targets.target import Arrays

__all__ = ["Evaluator", "Image"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Image:
    """What a package says of an input that is a picture. `order` is RGB, BGR or L (grayscale)."""

    order: str
    height: int
    width: int

    @property
    def channels(self) -> int:
        """Numbers per pixel."""
        return 1 if self.order == "L" else 3


class Evaluator:
    """A package opened for running on any system. Satisfies `mlc.targets.target.Runtime`.

    **Arrays.** `inputs` and `outputs` tell names, shapes and the types that the package declares. Any
    numbers are accepted and converted to the declared type. An input that is a *picture* is listed, and
    taken, as [1, height, width, channels] with values 0 to 255 in the order RGB (like a decoded JPEG),
    whatever order the network wants: if the package declares BGR the channels are exchanged here, as
    Core ML does. The program's own layout [1, channels, height, width] is taken too, and not exchanged.

    **Classifiers.** The output is the array of probabilities, under the name that the package gives to
    the dictionary of probabilities; `labels` are the names of the classes, in order.
    """

    timed = False

    def __init__(self, path: Path, mode: Mode = "declared") -> None:
        self._program = load(path)
        self._graph = lower(self._program, mode)
        self.mode = mode
        self.name = f"mlc's Core ML evaluator ({mode})"
        self.labels = self._graph.labels
        self.images = _images(self._program)
        self.inputs = tuple(
            _input_spec(value.name, value.type, self.images) for value in self._program.block.inputs
        )
        self._outputs = [
            (name, onnx, replace(type_, dtype="float32") if self._widens(type_) else type_)
            for name, onnx, type_ in _outputs(self._program, self._graph)
        ]
        self.outputs = tuple(
            TensorSpec(name, type_.shape, type_.dtype) for name, _, type_ in self._outputs
        )
        self._features = {feature.name: feature for feature in self._program.description.input}
        self._running: Any = None
        self._tracing: Any = None
        self._measuring: tuple[Meters, Any] | None = None

    def run(self, feeds: Arrays) -> dict[str, Array]:
        """Run one batch.

        Results come in the types that the package declares for its outputs; in the mode `float32`
        every float comes as float32.
        """
        if self._running is None:
            outputs = [(onnx, type_) for _, onnx, type_ in self._outputs]
            self._running = open_session(laid_out(self._model(self._graph, outputs)))
        found = run(self._running, self._feeds(feeds))
        return {
            name: _declared(name, array, type_)
            for (name, _, type_), array in zip(self._outputs, found, strict=True)
        }

    def trace(self, feeds: Arrays) -> dict[str, Array]:
        """Run one batch and return every value the program computes outside of loops, by its MIL name.

        float16 values come as float32 arrays: in the mode `float32` they hold more than float16 can.
        """
        if self._tracing is None:
            traced: dict[str, tuple[str, Type]] = {}

            def watch(graph: Graph, value: Value, name: str, unrounded: str) -> str:
                traced[value.name] = (name, value.type)
                return name

            graph = lower(self._program, self.mode, watch)
            wanted = list(dict.fromkeys(traced.values()))
            self._tracing = traced, wanted, open_session(self._model(graph, wanted))
        traced, wanted, session = self._tracing
        found = dict(zip(wanted, run(session, self._feeds(feeds)), strict=True))
        return {name: found[key] for name, key in traced.items()}

    def measure(self, feeds: Arrays) -> Measurement:
        """Run one batch and return figures of every float value outside of loops, and the outputs.

        Needs no more memory than `run`: the values themselves stay inside.
        """
        if self._measuring is None:
            meters = Meters()
            graph = lower(self._program, self.mode, watch=meters)
            figures = [(name, Type("float32")) for name in meters.results(graph)]
            outputs = [(onnx, type_) for _, onnx, type_ in _outputs(self._program, graph)]
            self._measuring = meters, open_session(self._model(graph, [*figures, *outputs]))
        meters, session = self._measuring
        found = run(session, self._feeds(feeds))
        count = len(found) - len(self._outputs)
        results = {
            name: _declared(name, array, type_)
            for (name, _, type_), array in zip(self._outputs, found[count:], strict=True)
        }
        return meters.read(found[:count], results)

    def close(self) -> None:
        """Give the memory back."""
        self._running = self._tracing = self._measuring = None

    def _widens(self, type_: Type) -> bool:
        """Whether a result comes as float32 although the program declares another float type."""
        return self.mode == "float32" and type_.is_float

    def _model(self, graph: Graph, wanted: Sequence[tuple[str, Type]]) -> Any:
        return graph.model(
            [(value.name, value.type) for value in self._program.block.inputs],
            [(name, carrier(type_.dtype)) for name, type_ in wanted],
        )

    def _feeds(self, feeds: Arrays) -> dict[str, Array]:
        known = {value.name: value.type for value in self._program.block.inputs}
        for name in feeds:
            if name not in known:
                raise DataError(
                    f"The package has no input {name!r}.", f"It has {', '.join(known)}."
                )
        return {
            name: self._feed(name, type_, feeds[name] if name in feeds else self._default(name))
            for name, type_ in known.items()
        }

    def _default(self, name: str) -> Array:
        """The value that the package declares for an optional input that is not fed."""
        feature = self._features.get(name)
        if feature is None or not feature.type.isOptional:
            raise DataError(f"No data for the input {name!r}.")
        array = feature.type.multiArrayType
        which = array.WhichOneof("defaultOptionalValue")
        value = 0 if which is None else getattr(array, which)
        return np.full(tuple(int(d) for d in array.shape), value, np.float32)

    def _feed(self, name: str, type_: Type, given: Array) -> Array:
        """One input as the ONNX graph wants it: checked, laid out, rounded, widened."""
        array = np.asarray(given)
        if array.dtype.kind not in "fiub":
            raise DataError(f"The data for {name!r} are no numbers.")
        image = self.images.get(name)
        if image is not None:
            array = _from_picture(name, image, array)
        if array.ndim == 0 and type_.shape == (1,):  # what a scalar becomes in a package
            array = array.reshape(1)
        feature = self._features.get(name)
        allowed = _Allowed() if feature is None else _allowed(feature)
        _check_shape(name, type_, array.shape, allowed)
        if self.mode == "declared" and type_.dtype == "float16":
            with np.errstate(over="ignore"):
                array = array.astype(np.float16)
        return np.asarray(array, dtype=carrier(type_.dtype), order="C")


def _outputs(program: Program, graph: Graph) -> list[tuple[str, str, Type]]:
    """Name, ONNX name and declared type of each output."""
    found: list[tuple[str, str, Type]] = []
    for value in program.block.outputs:
        if value.op is not None and value.op.kind == "classify":
            if value is value.op.outputs[0]:  # the label; it is the probabilities that are returned
                continue
            probabilities = value.op.parameters["probabilities"][0]
            name = program.description.predictedProbabilitiesName or value.name
            found.append((name, graph.tensor(probabilities), probabilities.type))
        else:
            found.append((value.name, graph.tensor(value), value.type))
    return found


def _declared(name: str, array: Array, type_: Type) -> Array:
    """A result in its declared type; a shape that contradicts the declaration is an error."""
    _check_result(name, array, type_)
    with np.errstate(over="ignore"):
        return array.astype(type_.dtype, copy=False)


def _check_result(name: str, array: Array, type_: Type) -> None:
    if type_.any_rank:
        return
    if len(array.shape) != type_.rank or any(
        d not in (None, a) for d, a in zip(type_.shape, array.shape, strict=True)
    ):
        raise UnverifiableError(
            f"{name} is declared {type_} but comes out as {list(array.shape)}: "
            "the program contradicts itself, or mlc's evaluator does."
        )


def _images(program: Program) -> dict[str, Image]:
    """The inputs that are pictures."""
    orders = {10: "L", 20: "RGB", 30: "BGR", 40: "L"}
    found: dict[str, Image] = {}
    for feature in program.description.input:
        if feature.type.WhichOneof("Type") == "imageType":
            image = feature.type.imageType
            if image.colorSpace not in orders:
                raise UnverifiableError(
                    f"The picture {feature.name!r} has an unknown colour space."
                )
            found[feature.name] = Image(orders[image.colorSpace], image.height, image.width)
    return found


def _input_spec(name: str, type_: Type, images: Mapping[str, Image]) -> TensorSpec:
    shape = type_.shape
    if name in images:
        shape = (shape[0], shape[2], shape[3], shape[1])
    return TensorSpec(name, shape, type_.dtype)


def _from_picture(name: str, image: Image, array: Array) -> Array:
    """[1, height, width, channels] in RGB -> [1, channels, height, width] in the declared order."""
    if array.size and not (array.min() >= 0 and array.max() <= 255):
        raise DataError(f"The picture {name!r} has values outside of 0 to 255.")
    if array.ndim != 4 or array.shape[-1] != image.channels:
        return array  # the program's own layout; a wrong one is found by the check of shapes
    if image.order == "BGR":
        array = array[..., ::-1]
    return array.transpose(0, 3, 1, 2)


@dataclass(frozen=True)
class _Allowed:
    """Which shapes an input may have beyond what its type says: a list of them, or bounds per axis."""

    shapes: tuple[tuple[int, ...], ...] = ()
    bounds: tuple[tuple[int, int | None], ...] = ()

    def __contains__(self, shape: tuple[int, ...]) -> bool:
        if self.shapes and shape not in self.shapes:
            return False
        return all(
            low <= size and (high is None or size <= high)
            for size, (low, high) in zip(shape, self.bounds, strict=False)
        )

    def __str__(self) -> str:
        if self.shapes:
            return " or ".join("×".join(map(str, shape)) for shape in self.shapes)
        return " × ".join(
            str(low) if low == high else f"{low}..{'any' if high is None else high}"
            for low, high in self.bounds
        )


def _ranges(sizes: Any) -> tuple[tuple[int, int | None], ...]:
    return tuple(
        (int(r.lowerBound), None if r.upperBound < 0 else int(r.upperBound)) for r in sizes
    )


def _allowed(feature: Any) -> _Allowed:
    """The flexible shapes of an input: enumerated shapes, ranges of sizes, sizes of pictures."""
    kind = feature.type.WhichOneof("Type")
    if kind == "multiArrayType":
        array = feature.type.multiArrayType
        return _Allowed(
            tuple(tuple(int(d) for d in s.shape) for s in array.enumeratedShapes.shapes),
            _ranges(array.shapeRange.sizeRanges),
        )
    if kind == "imageType":
        image = feature.type.imageType
        channels = 1 if image.colorSpace in (10, 40) else 3
        sizes = [(1, channels, int(s.height), int(s.width)) for s in image.enumeratedSizes.sizes]
        bounds: tuple[tuple[int, int | None], ...] = ()
        if image.HasField("imageSizeRange"):
            flexible = image.imageSizeRange
            bounds = (
                (1, 1),
                (channels, channels),
                *_ranges([flexible.heightRange, flexible.widthRange]),
            )
        return _Allowed(tuple(sizes), bounds)
    return _Allowed()


def _check_shape(name: str, type_: Type, shape: tuple[int, ...], allowed: _Allowed) -> None:
    wanted = "×".join("?" if d is None else str(d) for d in type_.shape) or "a scalar"
    fits = len(shape) == type_.rank and all(
        d in (None, s) for d, s in zip(type_.shape, shape, strict=True)
    )
    if fits and shape not in allowed:
        wanted, fits = str(allowed), False
    if not fits:
        given = "×".join(map(str, shape)) or "of a scalar"
        raise DataError(
            f"The data for {name!r} have the shape {given}, the package wants {wanted}."
        )
