"""An .npz file: `x` and, where known, `y`; or one array per input of the network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlc.convert.network import Network, TensorSpec
from mlc.convert.pictures import default_for, takes_picture
from mlc.convert.preprocessing import Preprocessing
from mlc.data.dataset import Array, Sample, check_sample, class_count, class_indices, spread
from mlc.errors import DataError, first_line

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Npz", "open_npz"]

_X, _Y = ("x", "images"), ("y", "labels")


@dataclass(frozen=True)
class Npz:
    """Arrays of samples by input name, and class indices."""

    arrays: Mapping[str, Array] = field(repr=False)
    labels: Array | None
    inputs: tuple[TensorSpec, ...]
    preprocessing: Preprocessing | None
    title: str

    @property
    def labelled(self) -> bool:
        """Whether the file has `y`."""
        return self.labels is not None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that is used."""
        sha = hashlib.sha256(repr((self.inputs, self.preprocessing)).encode())
        for name, array in [*sorted(self.arrays.items()), ("", self.labels)]:
            if array is not None:
                sha.update(name.encode() + str(array.dtype).encode())
                sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()

    def samples(self) -> Iterator[Sample]:
        """One row of every array at a time. uint8 pictures are pixels, all else are tensors."""
        for row in range(len(next(iter(self.arrays.values())))):
            values = {s.name: self.arrays[s.name][row] for s in self.inputs}
            pictures = {s.name: _picture(values[s.name], s) for s in self.inputs}
            feeds = {
                s.name: values[s.name] if picture is None else self._tensor(picture, s)
                for s, picture in zip(self.inputs, pictures.values(), strict=True)
            }
            alone = next(iter(pictures.values())) if len(pictures) == 1 else None
            yield Sample(feeds, None if self.labels is None else int(self.labels[row]), alone)

    def few(self, count: int) -> Npz:
        """Evenly spread over the file."""
        rows = spread(len(next(iter(self.arrays.values()))), count)
        return replace(
            self,
            arrays={name: array[rows] for name, array in self.arrays.items()},
            labels=None if self.labels is None else self.labels[rows],
        )

    def _tensor(self, picture: Image, spec: TensorSpec) -> Array:
        how = self.preprocessing or default_for(spec)
        height, width = spec.shape[1] or picture.height, spec.shape[2] or picture.width
        return how.tensor(how.pixels(picture, height, width))


def _picture(value: Array, spec: TensorSpec) -> Image | None:
    """uint8 values of an input that takes a picture, as one."""
    from PIL import Image

    pixels = spec.dtype.startswith("float") and value.dtype == np.uint8 and value.ndim in (2, 3)
    if not (takes_picture(spec) and pixels):
        return None
    if value.ndim == 3 and value.shape[2] not in (1, 3, 4):
        return None  # of a wrong shape: told where samples are checked
    return Image.fromarray(value[..., 0] if value.shape[2:] == (1,) else value)


def open_npz(path: Path, network: Network, limit: int) -> Npz:
    """Read an `.npz`, evenly spread where there are more than `limit` samples.

    Raises `DataError` for a damaged file, missing arrays, and samples that do not fit the network.
    """
    stored = _read(path)
    names = [s.name for s in network.inputs]
    alone = next((stored[x] for x in _X if x in stored), None)
    if set(names) <= set(stored):
        arrays = {name: stored[name] for name in names}
    elif alone is not None and len(names) == 1:
        arrays = {names[0]: alone}
    else:
        raise DataError(
            f"{path} holds {', '.join(stored) or 'nothing'}; the network takes {', '.join(names)}.",
            "Name the arrays as the inputs, or `x` where there is one input; `y` are class indices.",
        )
    labels = next((stored[y] for y in _Y if y in stored and y not in names), None)
    count = {
        len(a) if a.ndim else 0 for a in [*arrays.values(), *([] if labels is None else [labels])]
    }
    if len(count) != 1 or 0 in count:
        raise DataError(
            f"The arrays of {path} differ in length, or are empty.", "Correct the file."
        )
    if labels is not None:
        labels = class_indices(labels, class_count(network), str(path))
    total = count.pop()
    rows = spread(total, limit)
    of = f" of {total:,}" if len(rows) < total else ""
    dataset = Npz(
        {k: a[rows] for k, a in arrays.items()},
        None if labels is None else labels[rows],
        network.inputs,
        network.preprocessing,
        f"{len(rows):,}{of} samples in {path.name}",
    )
    first = next(dataset.samples())
    for spec in network.inputs:
        check_sample(first.feeds[spec.name], spec, str(path))
    return dataset


def _read(path: Path) -> dict[str, Array]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise DataError(f"{path} is one array, not an .npz.", "Save with np.savez(x=…, y=…).")
        with loaded as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise DataError(f"{path} does not exist.", "Check --data.") from None
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib and numpy's header parser each have their own
        raise DataError(
            f"{path} cannot be read as .npz: {first_line(error)}",
            "Save it with np.savez(x=…, y=…).",
        ) from error
