"""Real photographs that every checkout has."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["photographs"]

Array = np.ndarray[Any, np.dtype[Any]]


def photographs(count: int, height: int, width: int) -> Array:
    """Cut-outs of the two photographs that scikit-learn carries: [count, height, width, 3], 0..255."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(array) for array in load_sample_images().images]
    found = []
    for k in range(count):
        picture = pictures[k % len(pictures)]
        side = int(rng.integers(200, 420))
        left, top = (int(rng.integers(0, size - side + 1)) for size in picture.size)
        cut = picture.crop((left, top, left + side, top + side)).resize((width, height))
        found.append(np.asarray(cut, np.float32))
    return np.stack(found)
