"""Run a graph model in TF.js itself, in a Node process that lives as long as the artifact is open."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlc.errors import DataError, UnverifiableError
from mlc.node import find_node, packages
from mlc.targets.target import Arrays, Runtime
from mlc.targets.tfjs.artifact import GraphModel, Port, read

__all__ = ["RUNNER", "TfjsRuntime", "open"]

RUNNER = Path(__file__).parent / "runner"

Array = np.ndarray[Any, np.dtype[Any]]

_SECONDS = (
    600  # for loading, and for one run: the plain backend can be slow, but is never this slow
)
_WIRE = {"float32": "<f4", "int32": "<i4", "bool": "u1"}  # TF.js' types as they are sent


def open(path: Path) -> Runtime:
    """Start TF.js on the artifact; raises `UnverifiableError` where Node or its packages can't be had."""
    model = read(path)
    for port in (*model.inputs, *model.outputs):
        if port.spec.dtype not in _WIRE:
            raise UnverifiableError(
                f"{port.spec.name!r} is of type {port.spec.dtype}; mlc runs TF.js on numbers only.",
                "Move text out of the model, into the app.",
            )
    node = find_node()
    return TfjsRuntime(model, node.node, packages(node, RUNNER))


@dataclass(frozen=True)
class _Message:
    header: dict[str, Any]
    tensors: tuple[Array, ...]


class TfjsRuntime:
    """A graph model in a Node process of its own.

    `name` tells the backend. That is wasm, unless it lacks an op: then TF.js' plain JavaScript backend
    runs the model, `name` says why, and times mean nothing. A run may find this out, so `name` and
    `timed` are final after the first one.
    """

    name: str
    timed: bool

    def __init__(self, model: GraphModel, node: str, packages: Path) -> None:
        self.inputs = tuple(port.spec for port in model.inputs)
        self.outputs = tuple(port.spec for port in model.outputs)
        self._model = model
        # A file, because a pipe that nobody reads fills and blocks; closed with the runtime.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [node, str(RUNNER / "runner.mjs"), str(packages), str(model.file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        try:
            hello = self._converse(None)
            self._version = hello.header["version"]
            self._note_backend(hello)
        except BaseException:
            self.close()
            raise

    def run(self, feeds: Arrays) -> dict[str, Array]:
        """Run one batch. Feeds are cast to TF.js' types: int64 becomes int32, float64 float32."""
        rows, payload = [], []
        for port in self._model.inputs:
            data = _feed(port, feeds)
            payload.append(data.tobytes())
            rows.append(
                {
                    "name": port.tensor,
                    "dtype": port.spec.dtype,
                    "shape": data.shape,
                    "bytes": data.nbytes,
                }
            )
        header = {"fetches": [port.tensor for port in self._model.outputs], "tensors": rows}
        answer = self._converse(json.dumps(header).encode() + b"\n" + b"".join(payload))
        self._note_backend(answer)
        return dict(zip((spec.name for spec in self.outputs), answer.tensors, strict=True))

    def close(self) -> None:
        """End the Node process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):  # dead already, with a message unsent
                    pipe.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _note_backend(self, answer: _Message) -> None:
        backend, reason = answer.header["backend"], answer.header["reason"]
        self.name = f"TF.js {self._version} ({backend}{': ' if reason else ''}{reason})"
        self.timed = backend == "wasm"

    def _converse(self, request: bytes | None) -> _Message:
        """Send a request, if there is one, and wait for the answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None or stdin.closed:
            raise UnverifiableError("The TF.js runtime is closed.", "Open the artifact again.")
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(_SECONDS, give_up)
        timer.start()
        try:
            if request is not None:
                stdin.write(request)
                stdin.flush()
            header = json.loads(stdout.readline())
            tensors = tuple(_tensor(row, stdout.read(row["bytes"])) for row in header["tensors"])
        except (BrokenPipeError, ValueError) as error:  # no line, or a short one: it has died
            self._process.wait()
            reason = f"gave no answer in {_SECONDS} s" if late.is_set() else self._last_words()
            raise UnverifiableError(
                f"TF.js under Node ended without an answer: {reason}.",
                "Try the model in a browser; if it works there, report this.",
            ) from error
        finally:
            timer.cancel()
        if "error" in header:
            raise UnverifiableError(
                f"TF.js cannot run {self._model.file.parent.name}: {header['error']}",
                "The artifact will fail in browsers too, unless another backend knows more.",
            )
        return _Message(header, tensors)

    def _last_words(self) -> str:
        """The last error on stderr, where TF.js also greets and Node adds its version."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        said = [line.strip() for line in lines if re.search(r"Error: |ERROR: ", line)]
        return said[-1].rstrip(".") if said else f"exit code {self._process.returncode}"


def _tensor(row: dict[str, Any], raw: bytes) -> Array:
    """Raises `ValueError` where the bytes are fewer than the shape needs."""
    data = np.frombuffer(raw, _WIRE[row["dtype"]]).reshape(row["shape"])
    return data.astype(row["dtype"])  # a copy in the machine's byte order, and writable


def _feed(port: Port, feeds: Arrays) -> Array:
    spec = port.spec
    if spec.name not in feeds:
        raise DataError(
            f"The input {spec.name!r} was not fed.", f"Feed {', '.join(feeds) or 'it'} and this."
        )
    data = np.asarray(feeds[spec.name])
    # A lone open dimension may also be a shape that a foreign file doesn't tell: TF.js will know.
    if spec.shape != (None,) and not _fits(data.shape, spec.shape):
        raise DataError(f"{spec} was fed an array of shape {data.shape}.", "Feed that shape.")
    if spec.dtype == "int32" and data.size:
        limits = np.iinfo(np.int32)
        if data.min() < limits.min or data.max() > limits.max:
            raise DataError(
                f"The input {spec.name!r} holds numbers beyond int32.",
                "TF.js has no int64: keep the numbers smaller.",
            )
    return np.ascontiguousarray(data.astype(_WIRE[spec.dtype], copy=False))


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        w in (None, d) for d, w in zip(shape, wanted, strict=True)
    )
