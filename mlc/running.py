"""Run an artifact on arrays from files: what `mlc run` does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from mlc import targets
from mlc.bundle.manifest import MANIFEST, read_manifest
from mlc.errors import DataError, SourceError
from mlc.targets.target import Array, Runtime

__all__ = ["run"]


def run(artifact: Path, inputs: Sequence[str]) -> tuple[str, dict[str, Array]]:
    """Open `artifact` and run it once; returns the runtime's name and its outputs.

    `inputs` are `file.npy`, `NAME=file.npy`, or a `file.npz` with an array per input. A missing batch
    dimension is added. Raises `DataError` for arrays that are missing or do not fit, `SourceError` for
    what is no artifact.
    """
    if not artifact.exists():
        raise SourceError(f"{artifact} does not exist.", "Check the path.")
    if (artifact / MANIFEST).is_file():
        files = [str(artifact / a["file"]) for a in read_manifest(artifact)["artifacts"]]
        raise SourceError(f"{artifact} is a bundle.", f"Give one of its files: {', '.join(files)}.")
    with closing(targets.target(targets.recognise(artifact)).open(artifact)) as runtime:
        return runtime.name, runtime.run(_feeds(runtime, inputs))


def _feeds(runtime: Runtime, inputs: Sequence[str]) -> dict[str, Array]:
    given: dict[str, Array] = {}
    for text in inputs:
        name, _, file = text.rpartition("=")
        loaded = _load(Path(file))
        if isinstance(loaded, dict):
            given |= loaded
        else:
            given[name or runtime.inputs[0].name] = loaded
    names = [spec.name for spec in runtime.inputs]
    unknown, missing = sorted(set(given) - set(names)), sorted(set(names) - set(given))
    if unknown or missing:
        problem = f"has no input {unknown[0]!r}" if unknown else f"also needs {missing[0]!r}"
        raise DataError(
            f"The artifact {problem}.", f"Its inputs: {', '.join(map(str, runtime.inputs))}."
        )
    return {
        spec.name: array[None] if array.ndim == len(spec.shape) - 1 else array
        for spec in runtime.inputs
        for array in [given[spec.name]]
    }


def _load(path: Path) -> Array | dict[str, Array]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        return {name: loaded[name] for name in loaded.files}
    except FileNotFoundError:
        raise DataError(f"{path} does not exist.", "Check --input.") from None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            f"{path} is not a NumPy file: {error}.", "Save it with np.save or np.savez."
        ) from error
