"""The user's data: an image folder, an .npz, or Python; one sample at a time, as the network wants it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mlc.convert.network import Network, TensorSpec
from mlc.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Array", "Calibration", "Dataset", "Sample", "batches", "open_data", "spread", "stack"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Sample:
    """Input tensors by name, each without a batch dimension; and the class index, where known.

    `picture` is what the tensor was made of, as it came, where it was made of a picture.
    """

    feeds: Mapping[str, Array]
    label: int | None = None
    picture: Image | None = None


class Dataset(Protocol):
    """Samples that can be read again and again, in the same order. Pickles."""

    @property
    def title(self) -> str:
        """For the report: what and how many, e.g. `344 pictures of 2 classes in test/`."""

    @property
    def labelled(self) -> bool:
        """Whether samples carry a label."""

    @property
    def fingerprint(self) -> str | None:
        """Changes when the data do; None where that cannot be known, so that nothing is cached."""

    def samples(self) -> Iterator[Sample]:
        """Read them from the first on."""

    def few(self, count: int) -> Dataset:
        """At most `count` of the same samples, evenly spread where they can be counted."""


def open_data(argument: str, network: Network, limit: int) -> Dataset:
    """An image folder, an `.npz` file, or `module:function`, of at most `limit` samples.

    Raises `DataError` when it cannot be read or does not fit the network's inputs.
    """
    from mlc.data import folder, npz, python

    path = Path(argument)
    if path.is_dir():
        return folder.open_folder(path, network, limit)
    if path.suffix == ".npz" or path.is_file():
        return npz.open_npz(path, network, limit)
    if ":" in argument:
        return python.open_function(argument, network, limit)
    raise DataError(
        f"The data {argument!r} do not exist.",
        "Give a folder of images, an .npz file, or module:function.",
    )


def spread(count: int, limit: int) -> list[int]:
    """At most `limit` indices of `count`, evenly spread, always the same."""
    if count <= limit:
        return list(range(count))
    return [int(i) for i in np.linspace(0, count - 1, limit).round()]


def class_count(network: Network) -> int | None:
    """How many classes labels can name: the columns of the only output, two for a single one.

    None where labels mean nothing: several outputs, or another shape than (N, classes).
    """
    if len(network.outputs) != 1 or len(network.outputs[0].shape) != 2:
        return None
    columns = network.outputs[0].shape[1]
    return 2 if columns == 1 else columns


def class_indices(y: Any, classes: int | None, where: str) -> Array | None:
    """Labels as the user has them (indices, or one-hot rows) → (N,) indices below `classes`.

    None where labels mean nothing to the network. Raises `DataError` for what cannot be labels.
    """
    array = np.asarray(y)
    if classes is None:
        return None
    if array.ndim == 2 and array.shape[1] > 1:
        array = array.argmax(axis=1)
    array = array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)
    if array.dtype.kind not in "biuf" or array.shape[1] != 1 or (array != np.floor(array)).any():
        raise DataError(f"{where}: the labels are no class indices.", "Give numbers from 0 on.")
    indices: Array = array[:, 0].astype(np.int64)
    outside = indices[(indices < 0) | (indices >= classes)]
    if len(outside):
        raise DataError(
            f"{where}: label {outside[0]} is none of the network's {classes} classes.",
            f"Number the classes from 0 to {classes - 1}.",
        )
    return indices


@dataclass(frozen=True)
class Calibration:
    """The first `limit` samples of a dataset as input batches; call it to read them.

    Of the network only its inputs count: the graph, which weighs more than all else, is left behind.
    """

    dataset: Dataset
    network: Network
    limit: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", replace(self.network, graph=b""))

    def __call__(self) -> Iterator[dict[str, Array]]:
        """Yield the network's input tensors, one batch at a time, from the first on."""
        for feeds, _ in batches(self.dataset, self.network, self.limit):
            yield feeds


def batches(
    dataset: Dataset, network: Network, limit: int | None = None
) -> Iterator[tuple[dict[str, Array], list[int | None]]]:
    """Group samples as the network's batch size demands (1 where it is open).

    The last batch is filled up with its last sample; its list of labels is as long as the real samples.
    """
    size = batch_size(network)
    pending: list[Sample] = []
    for sample in islice(dataset.samples(), limit):
        pending.append(sample)
        if len(pending) == size:
            yield stack(pending, network), [s.label for s in pending]
            pending = []
    if pending:
        yield stack(pending, network), [s.label for s in pending]


def batch_size(network: Network) -> int:
    """How many samples the network takes at a time; 1 where that is open."""
    shape = network.inputs[0].shape if network.inputs else ()
    return (shape[0] if shape else None) or 1


def stack(samples: list[Sample], network: Network) -> dict[str, Array]:
    """One batch of the network's inputs, filled up with the last sample."""
    filled = samples + [samples[-1]] * (batch_size(network) - len(samples))
    return {
        spec.name: np.ascontiguousarray(
            np.stack([s.feeds[spec.name] for s in filled]), dtype=spec.dtype
        )
        for spec in network.inputs
    }


def check_sample(array: Array, spec: TensorSpec, where: str) -> None:
    """One sample must fit its input in kind and shape; raises `DataError` naming both."""
    numbers = array.dtype.kind in "biuf"
    if not numbers or (spec.dtype[:3] in ("int", "uin") and (array != np.floor(array)).any()):
        raise DataError(
            f"{where}: a sample for input {spec.name!r} is {array.dtype}, but the network takes "
            f"{spec.dtype}.",
            "Give whole numbers." if numbers else "Give numbers.",
        )
    wanted = spec.shape[1:]
    fits = len(array.shape) == len(wanted) and all(
        w is None or w == a for w, a in zip(wanted, array.shape, strict=True)
    )
    if not fits:
        shown = "×".join("?" if d is None else str(d) for d in wanted) or "a single number"
        got = "×".join(map(str, array.shape)) or "a single number"
        raise DataError(
            f"{where}: a sample for input {spec.name!r} is {got}, but the network takes {shown}.",
            "Give data of that shape, without counting the batch.",
        )
