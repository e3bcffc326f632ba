"""A constant of which a part is zero: which part, and how it grows while the network is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc.errors import UsageError
from mlc.optimize.training.thaw import size

__all__ = ["Masked", "Sparsity", "read_sparsity"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Sparsity:
    """A share of zeros, 0..1; or, with `group`, `zeros` in every group of so many inputs, as in 2:4."""

    share: float
    group: int = 0

    @property
    def zeros(self) -> int:
        """In each group."""
        return round(self.share * self.group)

    def __str__(self) -> str:
        return f"{self.group - self.zeros}:{self.group}" if self.group else f"{self.share:.3g}"

    def fits(self, values: Array, axis: int) -> bool:
        """Whether the inputs, which lie along `axis`, can be put into whole groups."""
        return not self.group or values.shape[axis] % self.group == 0

    def mask(self, values: Array, axis: int, progress: float = 1.0) -> Array:
        """1 where a weight stays, 0 for those of least magnitude: exactly as many as asked.

        `progress`, 0..1, is how far a schedule is; the share grows as `1 − (1 − progress)³`, fast while
        there is much to spare, slowly at the end (Zhu & Gupta 2017, equation 1). It is the formula of
        tensorflow-model-optimization's `PolynomialDecay`, and tests hold it to that; importing the
        package here would load tf_keras and change for the whole process which Keras `tf.keras` is.
        Groups are complete from the first.
        """
        if self.group:
            grouped = np.moveaxis(values, axis, -1)
            least = _least(np.abs(grouped).reshape(-1, self.group), self.zeros)
            return np.ascontiguousarray(np.moveaxis(least.reshape(grouped.shape), -1, axis))
        share = self.share * (1 - (1 - progress) ** 3)
        return _least(np.abs(values).reshape(1, -1), round(share * values.size)).reshape(
            values.shape
        )


def _least(rows: Array, count: int) -> Array:
    """0 for the `count` least of each row, 1 for the others; of equals the first ones go."""
    kept = np.ones(rows.shape, np.float32)
    np.put_along_axis(kept, np.argsort(rows, axis=1, kind="stable")[:, :count], 0, axis=1)
    return kept


def read_sparsity(text: str) -> Sparsity:
    """`0.5` is a share of zeros; `2:4` leaves two weights in every four. Raises `UsageError`."""
    left, colon, group = text.partition(":")
    try:
        if colon:
            kept, size = int(left), int(group)
            if 0 < kept < size:
                return Sparsity((size - kept) / size, size)
        elif 0 < float(left) < 1:
            return Sparsity(float(left))
    except ValueError:
        pass
    raise UsageError(
        f"The sparsity {text!r} is not understood.",
        "Give a share of zeros such as 0.5, or how many of how many weights stay, such as 2:4.",
    )


class Masked:
    """Weights times a mask. State: both. Weights that are zero get no gradient and stay so."""

    def __init__(self, values: Array, mask: Array, axes: Sequence[int] = ()) -> None:
        import tensorflow as tf

        self._size = size(values, axes)
        self._values = tf.Variable(values / self._size)
        self._mask = tf.Variable(mask, trainable=False)
        self.trained: Sequence[Any] = [self._values]
        self.kept: Sequence[Any] = [self._mask]

    def tensor(self) -> Any:
        """The weights that are left, and zeros."""
        return self._values * (self._mask * self._size)

    def frozen(self) -> Array:
        """The same as an array; no zero of it is negative."""
        values = np.asarray(self._values) * self._size
        return np.where(np.asarray(self._mask) > 0, values, np.float32(0))

    def prune(self, sparsity: Sparsity, axis: int, progress: float = 1.0) -> None:
        """Take the mask that `sparsity` asks for; what is zero already counts as least."""
        self._mask.assign(sparsity.mask(self.frozen(), axis, progress))

    def restart(self) -> None:
        """Nothing is zero."""
        import tensorflow as tf

        self._mask.assign(tf.ones_like(self._mask))
