"""ONNX Runtime runs a .onnx file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mlc.convert.network import TensorSpec
from mlc.errors import DataError, UnverifiableError
from mlc.targets.onnx.file import parse
from mlc.targets.target import Array, Arrays

__all__ = ["THREADS", "OnnxRuntime", "open"]

# As in the TFLite room, so that times of the two can be compared with each other and elsewhere.
THREADS = 2

_FATAL_ONLY = 4  # onnxruntime's log level

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(string)": "string",
}


class OnnxRuntime:
    """A file in an onnxruntime session on the CPU."""

    timed = True

    def __init__(self, session: Any) -> None:
        import onnxruntime

        self.name = f"onnxruntime {onnxruntime.__version__}"
        self._session = session
        self.inputs = tuple(_spec(node) for node in session.get_inputs())
        self.outputs = tuple(_spec(node) for node in session.get_outputs())

    def run(self, feeds: Arrays) -> dict[str, Array]:
        """Run one batch. Open dimensions take the size of the feeds."""
        import onnxruntime.capi.onnxruntime_pybind11_state as state

        arrays = {s.name: _accepted(s, feeds) for s in self.inputs}
        names = [s.name for s in self.outputs]
        try:
            results = self._session.run(names, arrays)
        except (state.Fail, state.RuntimeException, state.InvalidArgument) as error:
            raise UnverifiableError(f"onnxruntime failed while running: {_line(error)}") from error
        return dict(zip(names, results, strict=True))

    def close(self) -> None:
        """Free the session and its memory."""
        self._session = None


def open(path: Path) -> OnnxRuntime:
    """Load a file. Raises `SourceError` for what is no ONNX file or is cut short."""
    import onnxruntime
    import onnxruntime.capi.onnxruntime_pybind11_state as state

    parse(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = _FATAL_ONLY
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
    ) as error:
        raise UnverifiableError(f"onnxruntime refuses {path.name}: {_line(error)}") from error
    return OnnxRuntime(session)


def _spec(node: Any) -> TensorSpec:
    return TensorSpec(
        node.name,
        tuple(d if isinstance(d, int) else None for d in node.shape),
        _DTYPES.get(node.type, node.type.removeprefix("tensor(").removesuffix(")")),
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
    if spec.dtype == "string":
        return array.astype(object)
    return np.ascontiguousarray(array, dtype=np.dtype(spec.dtype))


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].split(" : ", 2)[-1][:300] if lines else type(error).__name__
