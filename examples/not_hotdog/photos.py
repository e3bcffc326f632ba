"""Real photographs for the demo, with nothing to download: `photos.py:photos` is a data source.

scikit-learn carries two photographs, `china.jpg` (a tower by a lake) and `flower.jpg` (a
dahlia), both 640×427. `photos` cuts many different pieces out of them. There is NO hot dog in
either, and there are no labels: they serve to calibrate int8 and to compare an artifact with the
original network on natural pictures, not to measure accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

SIZE = 160  # pixels, both sides
SAMPLES = 64
BATCH = 16


def photos() -> Iterator[dict[str, np.ndarray[Any, Any]]]:
    """Yield 4 batches `{"image": (16, 160, 160, 3) float32}`, raw RGB 0..255, always the same.

    1. Even samples come from the one photograph, odd samples from the other.
    2. A piece is between a quarter of the photograph's height and all of it, anywhere in it,
       up to 4:3 wide or tall, stretched to 160×160 with PIL's bilinear filter.
    3. Every second piece of each photograph is mirrored.
    """
    from PIL import Image, ImageOps
    from sklearn.datasets import load_sample_images

    originals = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    rng = np.random.default_rng(0)
    pieces = []
    for number in range(SAMPLES):
        photo = originals[number % len(originals)]
        side = photo.height * rng.uniform(0.25, 1.0)
        stretch = math.sqrt(rng.uniform(3 / 4, 4 / 3))
        width, height = min(side * stretch, photo.width), min(side / stretch, photo.height)
        left = rng.uniform(0, photo.width - width)
        top = rng.uniform(0, photo.height - height)
        box = (left, top, left + width, top + height)
        piece = photo.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box)
        if number // len(originals) % 2:
            piece = ImageOps.mirror(piece)
        pieces.append(np.asarray(piece, np.float32))
    for start in range(0, SAMPLES, BATCH):
        yield {"image": np.stack(pieces[start : start + BATCH])}
