"""The samples that a network is trained on, decoded once, and what its teacher says of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mlc.convert.network import Network
from mlc.data.dataset import Dataset, spread
from mlc.errors import DataError
from mlc.optimize.training.scores import Score, scores
from mlc.optimize.training.thaw import Thawed

__all__ = ["CALL", "Examples", "collect", "open_examples", "run"]

Array = np.ndarray[Any, np.dtype[Any]]

CALL = 32  # samples that one call of a TensorFlow function sees
_EVERY = 5  # each fifth sample is held out: of sorted folders that is a fifth of every class
_FEWEST = 10
_SHAPES, _LABELS = "shapes.json", "labels.npy"


@dataclass(frozen=True)
class Examples:
    """Inputs, teacher's scores and labels of N samples; arrays on disk, read as they are needed.

    `learned` and `held_out` are rows: what is trained on, and what decides which epoch is kept. `spans`
    are the variances of the scores.
    """

    names: tuple[str, ...]  # of the inputs
    inputs: tuple[Array, ...] = field(repr=False)
    teacher: tuple[Array, ...] = field(repr=False)
    labels: Array | None = field(repr=False)  # (N,) int32, -1 where unknown
    kinds: tuple[Score, ...]
    spans: tuple[float, ...]

    @property
    def learned(self) -> Array:
        """Rows to learn from."""
        rows = np.arange(len(self.inputs[0]))
        learned: Array = rows[rows % _EVERY != _EVERY // 2]
        return learned

    @property
    def held_out(self) -> Array:
        """Rows that are only looked at."""
        return np.arange(_EVERY // 2, len(self.inputs[0]), _EVERY)

    def batch(self, rows: Array) -> tuple[list[Array], list[Array], Array | None]:
        """Inputs, teacher's scores and labels of these rows."""
        labels = None if self.labels is None else self.labels[rows]
        return [a[rows] for a in self.inputs], [a[rows] for a in self.teacher], labels

    def feeds(self, count: int, batch: int) -> Iterator[dict[str, Array]]:
        """At most `count` of the rows to learn from, evenly spread, as whole batches of the network."""
        rows = self.learned[spread(len(self.learned), max(count // batch, 1) * batch)]
        for at in range(0, len(rows) - batch + 1, batch):
            arrays = self.batch(rows[at : at + batch])[0]
            yield dict(zip(self.names, arrays, strict=True))


def collect(folder: Path, dataset: Dataset, original: Network) -> None:
    """A stage: read every sample once into `folder`, and ask the original.

    Memory does not grow with the number of samples. Raises `DataError` for fewer than ten samples, and
    for samples of different shapes.
    """
    _write(dataset, original, folder)
    inputs = _inputs(original, folder)
    found = run(Thawed(original, {}, [k.reference for k in scores(original)]), inputs)
    for k, array in enumerate(found):
        np.save(folder / f"teacher_{k}.npy", array)


def open_examples(folder: Path, original: Network) -> Examples:
    """What `collect` left in `folder`."""
    labels = np.load(folder / _LABELS)
    kinds = tuple(scores(original))
    teacher = tuple(np.load(folder / f"teacher_{k}.npy", "r") for k in range(len(kinds)))
    return Examples(
        tuple(s.name for s in original.inputs),
        _inputs(original, folder),
        teacher,
        labels if original.is_classifier and (labels >= 0).any() else None,
        kinds,
        tuple(float(np.var(t, dtype=np.float64)) for t in teacher),
    )


def _inputs(original: Network, folder: Path) -> tuple[Array, ...]:
    shapes: list[Sequence[int]] = json.loads((folder / _SHAPES).read_text())
    return tuple(
        np.memmap(folder / f"input_{k}", spec.dtype, "r", shape=tuple(shape))
        for k, (spec, shape) in enumerate(zip(original.inputs, shapes, strict=True))
    )


def _write(dataset: Dataset, original: Network, folder: Path) -> None:
    shapes: dict[str, tuple[int, ...]] = {}
    labels = []
    files = [(folder / f"input_{k}").open("wb") for k in range(len(original.inputs))]
    try:
        for sample in dataset.samples():
            for spec, file in zip(original.inputs, files, strict=True):
                array = np.ascontiguousarray(sample.feeds[spec.name], spec.dtype)
                if shapes.setdefault(spec.name, array.shape) != array.shape:
                    raise DataError(
                        f"The {dataset.title} differ in shape ({shapes[spec.name]} and {array.shape} for "
                        f"input {spec.name!r}): they cannot be trained on together.",
                        "Fix the shape with --input-shape.",
                    )
                file.write(array.tobytes())
            labels.append(-1 if sample.label is None else sample.label)
    finally:
        for file in files:
            file.close()
    if len(labels) < _FEWEST:
        raise DataError(
            f"{len(labels)} samples are too few to train on.",
            f"Give at least {_FEWEST} with --train-data; hundreds are better.",
        )
    np.save(folder / _LABELS, np.array(labels, np.int32))
    whole = [(len(labels), *shapes[spec.name]) for spec in original.inputs]
    (folder / _SHAPES).write_text(json.dumps(whole))


def run(network: Thawed, inputs: Sequence[Array]) -> list[Array]:
    """The scores of all rows."""
    import tensorflow as tf

    call = tf.function(network, autograph=False, reduce_retracing=True)
    count = len(inputs[0])
    parts = [
        [np.asarray(s) for s in call([tf.constant(a[at : at + CALL]) for a in inputs])]
        for at in range(0, count, CALL)
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
