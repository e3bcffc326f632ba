"""Data from Python: `module:function` or `path/file.py:function`, yielding batches."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mlc.convert.network import Network, TensorSpec
from mlc.data.dataset import Sample, check_sample, class_count, class_indices
from mlc.errors import DataError, first_line

__all__ = ["PythonData", "open_function"]


@dataclass(frozen=True)
class PythonData:
    """Whatever a function of the user's yields.

    A batch is `x`, or `(x, y)`; `x` is an array (N, …) where there is one input, else a dict by input
    name; `y` are class indices (N,) or one-hot rows; what follows, such as sample weights, is passed
    over. Values are tensors: no preprocessing is applied.
    """

    function: str
    inputs: tuple[TensorSpec, ...]
    classes: int | None
    limit: int
    labelled: bool = False
    fingerprint: None = None  # a function may depend on anything

    @property
    def title(self) -> str:
        """Where they come from: how many is known only at the end."""
        return f"samples from {self.function}"

    def samples(self) -> Iterator[Sample]:
        """Call the function and take its batches apart."""
        left = self.limit
        for batch in _load(self.function)():
            x, y = (*batch, None)[:2] if isinstance(batch, tuple) else (batch, None)
            arrays = x if isinstance(x, Mapping) else {self.inputs[0].name: x}
            missing = [s.name for s in self.inputs if s.name not in arrays]
            if missing or (not isinstance(x, Mapping) and len(self.inputs) > 1):
                raise DataError(
                    f"{self.function} yields no {', '.join(missing) or 'dict'}.",
                    f"Yield a dict with {', '.join(s.name for s in self.inputs)}.",
                )
            rows = {s.name: np.asarray(arrays[s.name]) for s in self.inputs}
            labels = None if y is None else class_indices(y, self.classes, self.function)
            counts = {len(a) for a in [*rows.values(), *([] if labels is None else [labels])]}
            if len(counts) != 1:
                raise DataError(
                    f"{self.function} yields a batch whose arrays differ in length.",
                    "Yield as many labels as samples, and as many for every input.",
                )
            for k in range(min(left, counts.pop())):
                feeds = {name: rows[name][k] for name in rows}
                for spec in self.inputs:
                    check_sample(feeds[spec.name], spec, self.function)
                yield Sample(feeds, None if labels is None else int(labels[k]))
                left -= 1
            if left <= 0:
                return

    def few(self, count: int) -> PythonData:
        """The first ones: how many there are is not known."""
        return replace(self, limit=min(count, self.limit))


def open_function(argument: str, network: Network, limit: int) -> PythonData:
    """Import the function and look at its first sample.

    Raises `DataError` when it cannot be imported, fails, or yields what does not fit.
    """
    data = PythonData(argument, network.inputs, class_count(network), limit)
    try:
        first = next(data.samples())
    except DataError:
        raise
    except StopIteration:
        raise DataError(f"{argument} yields nothing.", "Yield at least one batch.") from None
    except Exception as error:
        raise DataError(
            f"{argument} failed: {type(error).__name__}: {first_line(error)}",
            "--debug shows the traceback.",
        ) from error
    return replace(data, labelled=first.label is not None)


def _load(argument: str) -> Callable[[], Iterator[Any]]:
    place, _, name = argument.rpartition(":")
    module = _from_file(Path(place)) if place.endswith(".py") else _from_path(place)
    function = getattr(module, name, None)
    if not callable(function):
        raise DataError(f"{place} has no function {name!r}.", "Check --data module:function.")
    found: Callable[[], Iterator[Any]] = function
    return found


def _from_path(name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: modules of the current folder
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DataError(
            f"The module {name!r} cannot be imported: {error}.", "Check --data."
        ) from None


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise DataError(f"{path} does not exist.", "Check --data file.py:function.")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module
