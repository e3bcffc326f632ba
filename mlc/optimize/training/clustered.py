"""A constant of few different values: found by k-means, moved together by their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlc.optimize.palette import few_values, nearest
from mlc.optimize.training.thaw import size

__all__ = ["Clustered", "cluster"]

Array = np.ndarray[Any, np.dtype[Any]]


def cluster(values: Array, count: int, keep_zeros: bool = False) -> Array:
    """Each value replaced by the nearest of at most `count`; with `keep_zeros` what is 0 stays so."""
    centroids = few_values(values, count, "kmeans", with_zero=keep_zeros)
    return centroids[nearest(centroids, values)]


class Clustered:
    """Indices into few centroids, which are trained (Han et al. 2016). State: the centroids.

    A centroid of 0 can be fixed, so that a sparse constant stays sparse.
    """

    def __init__(self, values: Array, keep_zeros: bool = False) -> None:
        """`values` are those that `cluster` returned: their different ones are the centroids."""
        import tensorflow as tf

        centroids, indices = np.unique(values, return_inverse=True)
        self._indices = tf.constant(indices.reshape(values.shape), tf.int32)
        self._size = size(values)
        self._centroids = tf.Variable(centroids / self._size.reshape(()))
        moved = centroids != 0 if keep_zeros else np.ones(len(centroids), bool)
        self._moved = tf.constant(moved.astype(np.float32))
        self.trained: Sequence[Any] = [self._centroids]
        self.kept: Sequence[Any] = []

    def tensor(self) -> Any:
        """A centroid for each index. The gradient of a centroid is the sum over its members."""
        import tensorflow as tf

        return tf.gather(self._centroids * self._moved, self._indices) * self._size

    def frozen(self) -> Array:
        """The same as an array; no zero of it is negative."""
        return np.asarray(self.tensor()) + np.float32(0)
