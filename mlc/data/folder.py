"""An image folder: pictures, or class sub-folders of pictures."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlc.convert.network import Network, TensorSpec
from mlc.convert.pictures import default_for, takes_picture
from mlc.convert.preprocessing import Preprocessing
from mlc.data.dataset import Sample, class_count, spread
from mlc.errors import DataError

__all__ = ["ImageFolder", "open_folder"]

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif"}


@dataclass(frozen=True)
class ImageFolder:
    """Pictures and, from the names of class sub-folders, their labels."""

    files: tuple[tuple[Path, int | None], ...]
    spec: TensorSpec
    preprocessing: Preprocessing
    title: str

    @property
    def labelled(self) -> bool:
        """Whether class sub-folders told the labels."""
        return self.files[0][1] is not None

    @property
    def fingerprint(self) -> str:
        """From names, sizes and modification times, as make does: pictures are not read again."""
        sha = hashlib.sha256(repr((self.spec, self.preprocessing)).encode())
        for path, label in self.files:
            stat = path.stat()
            sha.update(repr((str(path), label, stat.st_size, stat.st_mtime_ns)).encode())
        return sha.hexdigest()

    def samples(self) -> Iterator[Sample]:
        """Decode, resize and scale one picture at a time."""
        from PIL import Image

        height, width = _height_width(self.spec)
        for path, label in self.files:
            try:
                with Image.open(path) as image:
                    pixels = self.preprocessing.pixels(image, height, width)
            except Exception as error:  # damaged files make Pillow's decoders raise anything
                raise DataError(
                    f"The picture {path} cannot be read: {error}.", "Remove or repair it."
                ) from error
            yield Sample({self.spec.name: self.preprocessing.tensor(pixels)}, label, image)

    def few(self, count: int) -> ImageFolder:
        """Of all classes, where there are that many."""
        return replace(self, files=tuple(self.files[i] for i in spread(len(self.files), count)))


def open_folder(path: Path, network: Network, limit: int) -> ImageFolder:
    """List the pictures of a folder, evenly spread where there are more than `limit`.

    Sub-folders are classes: their index is that of their name in the network's labels, or, where the
    network has none, their alphabetical place. They are only folders where classes mean nothing to the
    network. Raises `DataError` for an empty folder, for classes that the network does not have, and for
    networks that do not take one picture.
    """
    spec = image_input(network)
    classes = sorted(p for p in _visible(path) if p.is_dir() and _pictures(p))
    found: list[tuple[Path, int | None]] = []
    if classes:
        index = _class_indices([c.name for c in classes], network, path)
        found += [(file, index.get(c.name)) for c in classes for file in _pictures(c)]
    else:
        found = [(file, None) for file in _pictures(path)]
    if not found:
        raise DataError(
            f"The folder {path} holds no pictures.", f"Known are {', '.join(sorted(_SUFFIXES))}."
        )
    files = tuple(found[i] for i in spread(len(found), limit))
    of = f" of {len(found):,}" if len(files) < len(found) else ""
    kinds = f" of {len(classes)} classes" if found[0][1] is not None else ""
    title = f"{len(files):,}{of} pictures{kinds} in {path.name}/"
    return ImageFolder(files, spec, network.preprocessing or default_for(spec), title)


def image_input(network: Network) -> TensorSpec:
    """The one input that takes a picture; raises `DataError` when there is none such."""
    pictures = list(filter(takes_picture, network.inputs))
    if len(network.inputs) != 1 or not pictures:
        inputs = ", ".join(map(str, network.inputs))
        raise DataError(
            f"Pictures do not fit this network: it takes {inputs}.",
            "Give an .npz file or module:function with these inputs.",
        )
    _height_width(pictures[0])
    return pictures[0]


def _height_width(spec: TensorSpec) -> tuple[int, int]:
    height, width = spec.shape[1:3]
    if height is None or width is None:
        raise DataError(
            f"Input {spec.name!r} has no fixed picture size.",
            f"Give it with --input-shape {spec.name}=1xHEIGHTxWIDTHx{spec.shape[3]}.",
        )
    return height, width


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in _visible(folder) if p.suffix.lower() in _SUFFIXES and p.is_file())


def _visible(folder: Path) -> list[Path]:
    """Without the hidden litter of macOS and notebooks (`._cat.jpg`, `.ipynb_checkpoints`)."""
    return [p for p in folder.iterdir() if not p.name.startswith(".")]


def _class_indices(names: list[str], network: Network, path: Path) -> dict[str, int]:
    classes = class_count(network)
    if classes is None:
        return {}
    if network.labels:
        return {name: _index(name, network.labels, path) for name in names}
    if len(names) != classes:
        raise DataError(
            f"{path} has {len(names)} class folders, but the network has {classes} classes.",
            "Name the folders as the labels, and give the labels with --labels or mlc.toml.",
        )
    return {name: k for k, name in enumerate(names)}


def _index(name: str, labels: Sequence[str], path: Path) -> int:
    """The label that a folder is named after: exactly, else but for case, spaces, `-` and `_`."""

    def plain(text: str) -> str:
        return re.sub(r"[\W_]+", " ", text.casefold()).strip()

    same = [k for k, label in enumerate(labels) if label == name] or [
        k for k, label in enumerate(labels) if plain(label) == plain(name)
    ]
    if len(same) != 1:
        raise DataError(
            f"The class folder {path / name} is named after {'several labels' if same else 'no label'}.",
            f"The labels are {', '.join(labels[:10])}{', …' if len(labels) > 10 else ''}.",
        )
    return same[0]
