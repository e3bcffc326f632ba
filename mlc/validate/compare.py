"""Run an artifact and compare it with the network, sample by sample."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from mlc.convert.network import Network, TensorSpec
from mlc.data.dataset import Dataset, batches, class_count
from mlc.errors import DataError, UnverifiableError
from mlc.targets.target import Runtime
from mlc.validate.evidence import Accuracy, OutputError, Parity

__all__ = ["Comparison", "answers", "as_fed", "compare", "match", "record", "reshaped"]

Array = np.ndarray[Any, np.dtype[Any]]

# Outputs that stay nearly the same (anchors of a detector) have no span to measure errors by. Counted as
# this part of the largest magnitude, 1e-4 of it are 8 units in the last place of float32: a sum of many
# numbers is not surer than that. Where *all* outputs stay the same, nothing is verified (`variation`).
_LEAST_SPAN = 0.01

_FED = "fed.txt"  # digests of the inputs, a line per batch


@dataclass(frozen=True)
class Comparison:
    """Errors, agreement and accuracy of one runtime; and whether the reference could tell at all."""

    parity: Parity
    accuracy: Accuracy | None
    finite: bool  # the artifact yields no NaN or infinity where the network yields none
    variation: float  # how much the network's own outputs change over the samples, 0..1
    answers: tuple[int, ...] = ()  # the artifact's top-1 class of each sample, of classifiers


@dataclass
class _Sums:
    """Running figures of one output; `low` and `high` are per element, to see whether it varies."""

    error: float = 0.0
    error2: float = 0.0
    reference2: float = 0.0
    finite: bool = True
    low: Array = field(default_factory=lambda: np.array(np.inf))
    high: Array = field(default_factory=lambda: np.array(-np.inf))

    def add(self, reference: Array, artifact: Array) -> None:
        reference, artifact = reference.astype(np.float64), artifact.astype(np.float64)
        usable = np.isfinite(reference)
        self.finite &= bool(np.isfinite(artifact[usable]).all())
        both = usable & np.isfinite(artifact)
        difference = np.where(both, artifact, 0) - np.where(both, reference, 0)
        self.error = max(self.error, float(np.abs(difference).max(initial=0)))
        self.error2 += float((difference**2).sum())
        known = np.where(usable, reference, 0)
        self.reference2 += float((known**2).sum())
        for row in known:  # shapes may differ between samples where a dimension is open
            same = self.low.shape in ((), row.shape)
            self.low = np.minimum(self.low, row) if same else np.minimum(self.low.min(), row.min())
            self.high = (
                np.maximum(self.high, row) if same else np.maximum(self.high.max(), row.max())
            )

    @property
    def span(self) -> float:
        return float(self.high.max() - self.low.min())

    @property
    def largest(self) -> float:
        return max(abs(float(self.high.max())), abs(float(self.low.min())))

    @property
    def variation(self) -> float:
        """Largest change of one element over the samples, relative to the largest magnitude."""
        return float((self.high - self.low).max()) / self.largest if self.largest else 0.0


def record(reference: Runtime, network: Network, dataset: Dataset, to: Path) -> int:
    """Write the network's own outputs on every sample to `to`/*.npz; returns how many batches."""
    digests: list[str] = []
    for feeds, _ in batches(dataset, network):
        np.savez(to / f"{len(digests):06}.npz", **reference.run(feeds))
        digests.append(_digest(feeds))
    if not digests:
        raise DataError(f"There are no {dataset.title}.", "Check --data.")
    (to / _FED).write_text("\n".join(digests))
    return len(digests)


def _digest(feeds: Mapping[str, Array]) -> str:
    sha = hashlib.sha256()
    for name in sorted(feeds):
        sha.update(feeds[name].tobytes())
    return sha.hexdigest()


def recorded(folder: Path) -> Iterator[dict[str, Array]]:
    """Read back what `record` wrote, in order."""
    for file in sorted(folder.glob("*.npz")):
        with np.load(file) as stored:
            yield {name: stored[name] for name in stored.files}


def compare(runtime: Runtime, network: Network, dataset: Dataset, references: Path) -> Comparison:
    """Run every sample and sum up.

    Raises `UnverifiableError` when inputs or outputs of the artifact cannot be matched, `DataError` when
    the data are others than those that the network ran on.
    """
    to_feed = match(network.inputs, runtime.inputs, "input")
    to_result = match(network.outputs, runtime.outputs, "output")
    sums = {spec.name: _Sums() for spec in network.outputs}
    classifies = network.is_classifier or (dataset.labelled and _has_scores(network))
    samples = agreed = original_right = artifact_right = labelled = 0
    given: list[int] = []
    fed = (references / _FED).read_text().split()
    for batch, digest, expected in zip_longest(
        batches(dataset, network), fed, recorded(references)
    ):
        if batch is None or digest != _digest(batch[0]):
            raise DataError(
                f"The {dataset.title} differ from one reading to the next.",
                "Yield the same samples every time: seed or switch off shuffling and augmentation.",
            )
        feeds, labels = batch
        results = runtime.run(as_fed(feeds, to_feed, runtime))
        real = len(labels)
        samples += real
        for spec in network.outputs:
            got = reshaped(results[to_result[spec.name]], expected[spec.name], spec)
            sums[spec.name].add(expected[spec.name][:real], got[:real])
        if classifies:
            (output,) = network.outputs
            original = answers(expected[output.name][:real])
            got = reshaped(results[to_result[output.name]], expected[output.name], output)
            artifact = answers(got[:real])
            agreed += int((original == artifact).sum())
            given += artifact.astype(int).tolist()
            for label, o, a in zip(labels, original, artifact, strict=True):
                if label is not None:
                    labelled += 1
                    original_right += int(o == label)
                    artifact_right += int(a == label)
    parity = Parity(
        samples,
        tuple(_error(name, s) for name, s in sums.items()),
        agreed / samples if classifies else None,
    )
    accuracy = _accuracy(labelled, original_right, artifact_right) if labelled else None
    return Comparison(
        parity,
        accuracy,
        all(s.finite for s in sums.values()),
        max(s.variation for s in sums.values()) if samples > 1 else 0.0,
        tuple(given),
    )


def _has_scores(network: Network) -> bool:
    """Whether labelled data make it a classifier: one output, a column per class, softmax or not."""
    return class_count(network) is not None and network.outputs[0].shape[1] != 1


def match(
    ours: tuple[TensorSpec, ...], theirs: tuple[TensorSpec, ...], what: str
) -> Mapping[str, str]:
    """Which of the artifact's tensors is which of the network's: by name, else by only one shape.

    Foreign artifacts often lost the names. Raises `UnverifiableError` where a guess would be needed.
    """
    names = {s.name for s in theirs}
    if {s.name for s in ours} <= names:
        return {s.name: s.name for s in ours}
    if len(ours) == len(theirs) == 1:
        return {ours[0].name: theirs[0].name}
    matched: dict[str, str] = {}
    for spec in ours:
        same = [t.name for t in theirs if _sizes(t.shape) == _sizes(spec.shape)]
        if len(same) != 1 or same[0] in matched.values():
            raise UnverifiableError(
                f"Which {what} of the artifact ({', '.join(map(str, theirs))}) is {spec}? "
                "Neither name nor shape tells.",
                "Compare an artifact that kept the names.",
            )
        matched[spec.name] = same[0]
    return matched


def _sizes(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """A shape without its batch dimension and without the ones."""
    return tuple(d for d in shape[1:] if d != 1)


def as_fed(
    feeds: Mapping[str, Array], names: Mapping[str, str], runtime: Runtime
) -> dict[str, Array]:
    """Feeds under the artifact's names; a batch or a dimension of one that it lacks is no difference."""
    specs = {s.name: s for s in runtime.inputs}
    fed = {}
    for ours, theirs in names.items():
        shape, array = specs[theirs].shape, feeds[ours]
        if None not in shape and array.size == int(np.prod(shape)):  # type: ignore[arg-type]
            array = array.reshape(shape)  # type: ignore[arg-type]
        fed[theirs] = array
    return fed


def reshaped(result: Array, expected: Array, spec: TensorSpec) -> Array:
    """An artifact's output in the network's shape; raises `UnverifiableError` where it cannot have it."""
    if result.size != expected.size:
        raise UnverifiableError(
            f"Output {spec.name!r} has shape {result.shape}, the network's has {expected.shape}."
        )
    return result.reshape(expected.shape)


def answers(scores: Array) -> Array:
    """The answers of a classifier: (N, classes) → (N,); one sigmoid score is a yes above 0.5."""
    picked: Array = scores[:, 0] > 0.5 if scores.shape[1] == 1 else scores.argmax(axis=1)
    return picked


def _error(name: str, sums: _Sums) -> OutputError:
    span = sums.span
    sqnr = None
    if sums.error2 > 0:
        sqnr = float(10 * np.log10(max(sums.reference2, 1e-300) / sums.error2))
    resolution = max(span, _LEAST_SPAN * sums.largest)
    relative = sums.error / resolution if resolution else float(sums.error > 0)
    return OutputError(name, span, sums.error, relative, sqnr)


def _accuracy(n: int, original: int, artifact: int) -> Accuracy:
    return Accuracy(n, original / n, _wilson(original, n), artifact / n, _wilson(artifact, n))


def _wilson(right: int, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(right, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
