"""The 8×8 handwritten digits that scikit-learn carries, split once and for all.

1,797 digits by 43 writers (UCI, 1998); a pixel counts 0..16 dark dots in a 4×4 field. A fifth,
360 digits, is held out: `data.py:test_set` is a labelled data source.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

BATCH = 60
Array = np.ndarray[Any, Any]


def _split() -> tuple[Array, Array, Array, Array]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = digits.images.astype(np.float32)[..., np.newaxis]
    x_train, x_test, y_train, y_test = train_test_split(
        pixels, digits.target, test_size=0.2, random_state=0, stratify=digits.target
    )
    return x_train, x_test, y_train, y_test


def train_set() -> tuple[Array, Array]:
    """Return the 1,437 digits to learn from: raw pixels (N, 8, 8, 1) float32 0..16, classes (N,)."""
    x, _, y, _ = _split()
    return x, y


def test_set() -> Iterator[tuple[dict[str, Array], Array]]:
    """Yield the 360 held-out digits: 6 batches of `{"image": (60, 8, 8, 1)}` and classes (60,)."""
    _, x, _, y = _split()
    for start in range(0, len(x), BATCH):
        yield {"image": x[start : start + BATCH]}, y[start : start + BATCH]
