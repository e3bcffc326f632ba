"""LiteRT runs a .tflite file."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mlc.convert.network import TensorSpec
from mlc.errors import DataError, SourceError, UnverifiableError
from mlc.targets.target import Array, Arrays
from mlc.targets.tflite import flatbuffer

__all__ = ["THREADS", "LiteRT", "open"]

# Two, as apps on phones commonly ask for, whatever this machine has: times stay comparable.
THREADS = 2


class LiteRT:
    """A file in LiteRT's interpreter, with XNNPACK's kernels where it has them."""

    timed = True

    def __init__(self, interpreter: Any) -> None:
        self.name = f"LiteRT {version('ai-edge-litert')}"
        self._interpreter = interpreter
        self._inputs, self._outputs = _named(interpreter)
        self.inputs = tuple(_spec(n, d) for n, d in self._inputs.items())
        self.outputs = tuple(_spec(n, d) for n, d in self._outputs.items())
        self._allocate()

    def run(self, feeds: Arrays) -> dict[str, Array]:
        """Run one batch. Open dimensions take the size of the feeds."""
        arrays = {s.name: _accepted(s, feeds) for s in self.inputs}
        self._resize(arrays)
        for name, array in arrays.items():
            detail = self._inputs[name]
            self._interpreter.set_tensor(detail["index"], _quantized(array, detail))
        try:
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise UnverifiableError(f"LiteRT failed while running: {_line(error)}") from error
        return {
            name: _real(self._interpreter.get_tensor(detail["index"]), detail)
            for name, detail in self._outputs.items()
        }

    def close(self) -> None:
        """Free the interpreter and its arena."""
        self._interpreter = None

    def _resize(self, arrays: Arrays) -> None:
        current = {d["index"]: tuple(d["shape"]) for d in self._interpreter.get_input_details()}
        changed = False
        for name, array in arrays.items():
            index = self._inputs[name]["index"]
            if array.shape != current[index]:
                self._interpreter.resize_tensor_input(index, array.shape)
                changed = True
        if changed:
            self._allocate()

    def _allocate(self) -> None:
        try:
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise UnverifiableError(f"LiteRT refuses the file: {_line(error)}") from error


def open(path: Path) -> LiteRT:
    """Load a file. Raises `SourceError` for what is no TFLite file or is cut short."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    # LiteRT trusts offsets that point outside of the file; our own reading finds them.
    _refuse_flex(flatbuffer.parse(data))
    try:
        interpreter = Interpreter(model_content=data, num_threads=THREADS)
    except (RuntimeError, ValueError) as error:
        raise UnverifiableError(f"LiteRT refuses {path.name}: {_line(error)}") from error
    return LiteRT(interpreter)


def _refuse_flex(model: Any) -> None:
    """Refuse what LiteRT would look for in TensorFlow: where that is loaded too, the process dies."""
    flex = [n.removeprefix("custom:Flex") for n in flatbuffer.histogram(model) if ":Flex" in n]
    if flex:
        raise UnverifiableError(
            f"The file needs TensorFlow's Flex library for {', '.join(sorted(flex))}.",
            "Phones lack it by default, and LiteRT here has none: convert without SELECT_TF_OPS.",
        )


def _named(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and outputs by the names of the only signature, else by cleaned tensor names."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    signatures = interpreter.get_signature_list()
    if len(signatures) == 1:
        runner = interpreter.get_signature_runner(next(iter(signatures)))
        return (
            _by_signature(runner.get_input_details(), inputs),
            _by_signature(runner.get_output_details(), outputs),
        )
    return _by_tensor(inputs), _by_tensor(outputs)


def _by_signature(named: dict[str, Any], details: list[Any]) -> dict[str, Any]:
    """The signature's names, in the order of the graph's own inputs or outputs."""
    order = {d["index"]: position for position, d in reversed(list(enumerate(details)))}
    return dict(sorted(named.items(), key=lambda item: order[item[1]["index"]]))


def _by_tensor(details: list[Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for detail in details:
        name = re.sub(r"^serving_default_|:\d+$", "", detail["name"])
        result[name if name not in result else detail["name"]] = detail
    return result


def _spec(name: str, detail: Any) -> TensorSpec:
    signature = detail["shape_signature"]
    shape = signature if len(signature) else detail["shape"]
    return TensorSpec(
        name,
        tuple(None if d < 0 else int(d) for d in shape),
        np.dtype(detail["dtype"]).name if detail["dtype"] is not np.bytes_ else "string",
    )


def _accepted(spec: TensorSpec, feeds: Arrays) -> Array:
    if spec.name not in feeds:
        raise DataError(f"Nothing is fed to the input {spec}; given are {', '.join(feeds)}.")
    array = np.asarray(feeds[spec.name])
    fits = len(array.shape) == len(spec.shape) and all(
        have == want or want is None for have, want in zip(array.shape, spec.shape, strict=False)
    )
    if not fits:
        given = "×".join(map(str, array.shape))
        raise DataError(f"The input {spec} cannot take an array of {given}.")
    return array


def _quantized(array: Array, detail: Any) -> Array:
    """Real numbers → the tensor's own integers, rounded and saturated."""
    dtype = np.dtype(detail["dtype"])
    scale, zero = detail["quantization"]
    if scale == 0:
        return array.astype(dtype)
    limits = np.iinfo(dtype)
    integers: Array = np.clip(np.rint(array / scale) + zero, limits.min, limits.max)
    return integers.astype(dtype)


def _real(array: Array, detail: Any) -> Array:
    scale, zero = detail["quantization"]
    if scale == 0:
        return array
    real: Array = (array.astype(np.float32) - np.float32(zero)) * np.float32(scale)
    return real


def _line(error: Exception) -> str:
    """The first sentence of LiteRT's message, without its source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"^\S+\.(cc|h):\d+\s*", "", lines[0])[:200] if lines else type(error).__name__
