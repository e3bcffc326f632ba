"""The door of this room: any source → network."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlc.convert.network import Description, Network, Provenance
from mlc.convert.source import Source, identify
from mlc.convert.trust import check_config
from mlc.errors import UsageError

__all__ = ["ReadOptions", "from_model", "look", "read"]


@dataclass(frozen=True)
class ReadOptions:
    """How a source is read. Part of every cache key.

    `batch` is the first dimension of every input; None leaves it open. `shapes` gives whole shapes by
    input name. `trust` lets code inside the file run; `custom_objects` names a Python module that defines
    the classes and functions that the file needs.
    """

    batch: int | None = 1
    shapes: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)
    signature: str | None = None
    trust: bool = False
    custom_objects: str | None = None


def read(path: Path, description: Description, options: ReadOptions) -> Network:
    """Read a `.keras`, `.h5`, `.hdf5` or SavedModel; see `keras_file` and `saved_model`."""
    source = identify(path)
    _check_signature(source, options)
    custom = _public_names(options.custom_objects) if options.custom_objects else None
    if source.kind == "saved_model":
        from mlc.convert import saved_model

        return saved_model.read(
            source,
            description,
            options.batch,
            options.shapes,
            options.trust,
            options.signature,
        )
    from mlc.convert import keras_file

    return keras_file.read(
        source, description, options.batch, options.shapes, options.trust, custom
    )


def look(path: Path, options: ReadOptions) -> None:
    """Refuse in a moment what `read` would refuse after loading TensorFlow."""
    source = identify(path)
    _check_signature(source, options)
    if not options.trust:
        check_config(source, options.custom_objects is not None)


def from_model(model: Any, description: Description, options: ReadOptions) -> Network:
    """Freeze a live Keras model. Its code is the caller's own, so nothing is refused."""
    from mlc.convert import keras_file

    kind = f"live {type(model).__module__.split('.')[0]} model"
    network = keras_file.freeze_model(
        model,
        Provenance(type(model).__name__, kind, ""),
        description,
        options.batch,
        options.shapes,
    )
    return network.described(provenance=Provenance(type(model).__name__, kind, network.digest))


def _check_signature(source: Source, options: ReadOptions) -> None:
    if options.signature and source.kind != "saved_model":
        raise UsageError(
            f"{source.path} has no signatures: it is a {source.container}, no SavedModel.",
            "Leave --signature out.",
        )


def _public_names(module: str) -> dict[str, Any]:
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: modules of the current folder
    try:
        names = vars(importlib.import_module(module))
    except ImportError as error:
        raise UsageError(
            f"--custom-objects: the module {module!r} cannot be imported ({error}).",
            "Run mlc where `python -c 'import MODULE'` works, or set PYTHONPATH.",
        ) from error
    return {name: value for name, value in names.items() if not name.startswith("_")}
