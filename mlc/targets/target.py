"""The doors that every target has: emit, open, inspect, declares, recognises."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from mlc.convert.metadata import Statement
from mlc.convert.network import Network, TensorSpec
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import Precision

__all__ = [
    "IO",
    "Array",
    "Arrays",
    "Calibration",
    "Emission",
    "Examining",
    "Finding",
    "InputOutput",
    "Native",
    "Options",
    "Runtime",
    "Summary",
    "Target",
]

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]  # tensor name -> array, batch first
InputOutput = Literal["float", "int8", "uint8"]  # what inputs and outputs are
IO: tuple[InputOutput, ...] = ("float", "int8", "uint8")

# Yields the network's input tensors, one batch at a time; every call starts again from the first.
Calibration = Callable[[], Iterator[Arrays]]


@dataclass(frozen=True)
class Options:
    """What only one target asks for."""

    ios: int = 16  # Core ML: oldest iOS that must run the package, 15..18
    # Core ML: ops that stay float32 in a float16 program, each by its name or by its kind
    coreml_float32_ops: tuple[str, ...] = ()
    opset: int = 17  # ONNX
    io: InputOutput = (
        "float"  # TFLite: inputs and outputs; integers only where all is computed in them
    )


@dataclass(frozen=True)
class Emission:
    """What a target wrote, and what the recipe became there.

    `notes` tells the user in whole sentences where the artifact differs from what was asked.
    """

    path: Path
    weights: Precision
    activations: Precision
    notes: tuple[str, ...] = ()
    io: InputOutput = "float"

    def at(self, folder: Path) -> Emission:
        """The same artifact after its folder was moved."""
        return replace(self, path=folder / self.path.name)

    @property
    def precision(self) -> str:
        """For tables: `float32`, `int8`, or `int8 weights` where activations stayed float; then what goes
        in and out, if that is integers.
        """
        if self.io != "float":
            return f"{self.weights}, {self.io} in and out"
        if self.weights == self.activations:
            return self.weights
        return f"{self.weights} weights"


@dataclass(frozen=True)
class Summary:
    """What `mlc inspect` shows of a source or artifact."""

    format: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ops: Mapping[str, int]  # kind -> count
    parameters: int
    weights: Precision = "float32"  # of most weights
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """What a room found in an artifact by looking closer than at its answers.

    `warnings` are whole sentences on what went well and may not with other data; `figures` are what was
    measured, as plain data for the report.
    """

    name: str
    state: Literal["passed", "failed", "not verified"]
    detail: str
    warnings: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


class Runtime(Protocol):
    """An artifact opened in a real runtime of its format. State: close it."""

    name: str  # e.g. "LiteRT 2.1.6", with the backend where there is a choice
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    # False where a time taken here says nothing about the format's own runtime.
    timed: bool

    def run(self, feeds: Arrays) -> dict[str, Array]:
        """Run one batch. Feeds and results are real numbers: integer I/O is (de)quantized here."""

    def close(self) -> None:
        """Give back processes and memory. May be called twice."""


class Target(Protocol):
    """A room of `mlc/targets`: a module with these five functions."""

    TITLE: str  # "Core ML"
    SUFFIX: str  # ".mlpackage"; "" for a folder

    def emit(
        self,
        network: Network,
        plan: Plan,
        samples: Calibration | None,
        options: Options,
        path: Path,
    ) -> Emission:
        """Write the artifact to `path`, which does not exist yet, as the plan says.

        `samples` are inputs to try it out on meanwhile, for a room that does so; nothing is calibrated on
        them, the plan has all ranges. Same arguments, same bytes. Raises `UnsupportedError` where the
        format cannot hold the network.
        """

    def open(self, path: Path) -> Runtime:
        """Load the artifact from disk. Raises `UnverifiableError` where it cannot be run here."""

    def inspect(self, path: Path) -> Summary:
        """Read inputs, outputs and ops without running anything."""

    def declares(self, path: Path) -> tuple[Statement, ...]:
        """What the artifact says of itself, by the places where it says so; empty where it says nothing.

        Raises `SourceError` where such a place is damaged.
        """

    def recognises(self, path: Path) -> bool:
        """Whether `path` looks like an artifact of this format; cheap, never raises."""


@runtime_checkable
class Examining(Protocol):
    """A further door, which only a room has whose format goes wrong in ways of its own."""

    def examine(self, path: Path, samples: Sequence[Arrays]) -> tuple[Finding, ...]:
        """Look into the artifact while it runs on `samples`: feeds as its `Runtime` takes them."""


@runtime_checkable
class Native(Protocol):
    """A further door, which only a room has whose format has a runtime that most hosts lack."""

    def native(self, path: Path) -> Runtime | None:
        """Load the artifact into that runtime; None on other hosts.

        Raises `UnverifiableError` where the runtime here is too old for the artifact.
        """
