"""What a file says of itself: kind, framework version, stored config. Runs nothing of it."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mlc.convert.network import Provenance
from mlc.errors import SourceError
from mlc.store import tree_digest

__all__ = ["Source", "identify"]

Kind = Literal["keras2", "keras3", "saved_model"]

_MAX_CONFIG_BYTES = 256 * 2**20
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_SAVE_WHOLE = "Save the whole model with model.save('model.keras')."


@dataclass(frozen=True)
class Source:
    """A model file that was looked at, not loaded.

    `config` is the stored Keras config (class_name, config, ...), empty for a SavedModel.
    `stored_parameters` counts the elements of all stored weights, where the file tells.
    """

    path: Path
    kind: Kind
    version: str
    container: Literal["Keras archive", "HDF5", "SavedModel"]
    config: dict[str, Any] = field(repr=False)
    stored_parameters: int | None = None

    @property
    def provenance(self) -> Provenance:
        """File name, kind and SHA-256, for manifests and metadata."""
        kind = f"Keras {self.version} {self.container}" if self.config else self.container
        return Provenance(self.path.name, kind, tree_digest(self.path))


def identify(path: Path) -> Source:
    """Look at a source and say what it is.

    Raises `SourceError` for anything that is not a whole saved model: missing, empty, truncated, weights
    only, or another kind of file.
    """
    if not path.exists():
        raise SourceError(f"{path} does not exist.", "Check the path of the model.")
    if path.is_dir():
        return _saved_model(path)
    with path.open("rb") as file:
        head = file.read(8)
    if head == _HDF5_MAGIC:
        return _hdf5(path)
    if head.startswith(b"PK"):
        return _archive(path)
    what = "is empty" if not head else "is not a Keras model: neither HDF5 nor a .keras archive"
    raise SourceError(
        f"{path} {what}.", "Give a .keras, .h5 or .hdf5 file, or a SavedModel folder."
    )


def _saved_model(path: Path) -> Source:
    if not (path / "saved_model.pb").is_file():
        empty = not any(path.iterdir())
        raise SourceError(
            f"The folder {path} {'is empty' if empty else 'holds no saved_model.pb'}.",
            "Give the folder that model.export() or tf.saved_model.save() wrote.",
        )
    return Source(path, "saved_model", "", "SavedModel", config={})


def _archive(path: Path) -> Source:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if not {"config.json", "metadata.json"} <= names:
                raise SourceError(f"{path} is a zip file, but not a .keras archive.", _SAVE_WHOLE)
            if bad := archive.testzip():
                raise SourceError(f"{path} is damaged at {bad}.", "Copy or save it again.")
            config = json.loads(_member(archive, "config.json"))
            version = str(json.loads(_member(archive, "metadata.json"))["keras_version"])
    except (zipfile.BadZipFile, EOFError, json.JSONDecodeError, KeyError) as error:
        raise SourceError(
            f"{path} is not a readable .keras archive ({error}): truncated or damaged.",
            "Copy or save it again.",
        ) from error
    return Source(path, _generation(version, config), version, "Keras archive", config)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """One small member, refusing a bomb: the size is checked before anything is unpacked."""
    if archive.getinfo(name).file_size > _MAX_CONFIG_BYTES:
        raise SourceError(f"{name} inside {archive.filename} is implausibly large.", _SAVE_WHOLE)
    return archive.read(name)


def _hdf5(path: Path) -> Source:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if "model_config" not in file.attrs:
                raise SourceError(
                    f"{path} holds weights without the model they belong to.", _SAVE_WHOLE
                )
            raw = file.attrs["model_config"]
            config = json.loads(raw.decode() if isinstance(raw, bytes) else raw)
            version = file.attrs.get("keras_version", "2.0.0")
            version = version.decode() if isinstance(version, bytes) else str(version)
            sizes: list[int] = []
            file["model_weights"].visititems(
                lambda _, item: sizes.append(item.size) if isinstance(item, h5py.Dataset) else None
            )
    except (OSError, KeyError, json.JSONDecodeError, RuntimeError) as error:
        raise SourceError(
            f"{path} cannot be read as HDF5: it is truncated or damaged.", "Copy or save it again."
        ) from error
    return Source(path, _generation(version, config), version, "HDF5", config, sum(sizes))


def _generation(version: str, config: dict[str, Any]) -> Literal["keras2", "keras3"]:
    """Keras 3 writes a `module` beside every class name; older files that do not tell a version don't."""
    major = version.split(".")[0]
    if major.isdigit():
        return "keras3" if int(major) >= 3 else "keras2"
    return "keras3" if "module" in config else "keras2"
