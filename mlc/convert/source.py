"""What a file says of itself: kind, framework version, stored config. Runs nothing of it."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from mlc.convert.network import Provenance
from mlc.errors import SourceError, first_line
from mlc.store import tree_digest

__all__ = ["Source", "identify", "stored_weights"]

Kind = Literal["keras2", "keras3", "saved_model"]

_MAX_CONFIG_BYTES = 256 * 2**20
_MAX_BYTES = 8 * 10**9  # weights of 2 GB, the most a graph can hold, with those of an optimizer
_MAX_RATIO, _MAX_SLACK = 100, 10**8  # Keras does not compress its archives
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
            _check_members(path, archive)
            if bad := archive.testzip():
                raise SourceError(f"{path} is damaged at {bad}.", "Copy or save it again.")
            config = json.loads(archive.read("config.json"))
            version = str(json.loads(archive.read("metadata.json"))["keras_version"])
            for name in sorted(n for n in names if n.endswith(".h5")):
                _weigh(path, io.BytesIO(archive.read(name)))  # seeking inside a zip is slow
    except SourceError:
        raise
    except Exception as error:  # zipfile, zlib, json and h5py each have their own for damage
        raise SourceError(
            f"{path} is not a readable .keras archive ({first_line(error)}): truncated or damaged.",
            "Copy or save it again.",
        ) from error
    return Source(path, _generation(version, config, path), version, "Keras archive", config)


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse a bomb and files that would land outside, before anything is unpacked."""
    total = 0
    for member in archive.infolist():
        total += member.file_size
        parts = PurePosixPath(member.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts:
            raise SourceError(
                f"{path} holds a file outside itself: {member.filename}.", _SAVE_WHOLE
            )
    if total > min(_MAX_BYTES, _MAX_SLACK + _MAX_RATIO * path.stat().st_size):
        raise SourceError(f"{path} would unpack to {total:,} bytes: implausibly many.", _SAVE_WHOLE)
    if archive.getinfo("config.json").file_size > _MAX_CONFIG_BYTES:
        raise SourceError(f"config.json inside {path} is implausibly large.", _SAVE_WHOLE)


def _hdf5(path: Path) -> Source:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if "model_config" not in file.attrs:
                raise SourceError(
                    f"{path} holds no model: only weights, or something else than Keras wrote.",
                    _SAVE_WHOLE,
                )
            config = json.loads(_text(file.attrs["model_config"]))
            version = _text(file.attrs.get("keras_version", ""))
        parameters = _weigh(path, path, "model_weights")
    except SourceError:
        raise
    except Exception as error:  # h5py raises whatever it meets in damaged bytes
        raise SourceError(
            f"{path} cannot be read as HDF5 ({first_line(error)}): truncated or damaged.",
            "Copy or save it again.",
        ) from error
    kind = _generation(version, config, path)
    return Source(path, kind, version or kind[-1], "HDF5", config, parameters)


def _text(attribute: Any) -> str:
    return attribute.decode() if isinstance(attribute, bytes) else str(attribute)


def _weigh(path: Path, stored: Any, group: str = "/") -> int:
    """Count the elements of all weights, which must be in the file itself.

    HDF5 can name other files to take data from: a model could so carry off the user's own.
    """
    import h5py

    outside, sizes = [], []

    def see_link(name: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            outside.append(name)

    def see(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append(item.size)
            if item.is_virtual or item.external:
                outside.append(name)

    with h5py.File(stored, "r") as file:
        file.visititems_links(see_link)
        file[group].visititems(see)
    if outside:
        raise SourceError(f"{path} takes {outside[0]} from another file.", _SAVE_WHOLE)
    return sum(sizes)


def stored_weights(source: Source) -> set[str]:
    """SHA-256 of every stored array, to see that what was loaded is what is stored."""
    import h5py

    digests = set()

    def see(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            digests.add(hashlib.sha256(item[()].tobytes()).hexdigest())

    if source.container == "HDF5":
        with h5py.File(source.path, "r") as file:
            file["model_weights"].visititems(see)
        return digests
    with zipfile.ZipFile(source.path) as archive:
        for name in archive.namelist():
            if name.endswith(".h5"):
                with h5py.File(io.BytesIO(archive.read(name)), "r") as file:
                    file.visititems(see)
    return digests


def _generation(version: str, config: Any, path: Path) -> Literal["keras2", "keras3"]:
    """Keras 3 writes a `module` beside every class name; older files that do not tell a version don't."""
    if not isinstance(config, dict) or "class_name" not in config:
        raise SourceError(f"The model configuration in {path} is none of Keras.", _SAVE_WHOLE)
    major = version.split(".")[0]
    if major.isdecimal():
        return "keras3" if int(major) >= 3 else "keras2"
    return "keras3" if "module" in config else "keras2"
