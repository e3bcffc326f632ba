"""Train a small CNN on scikit-learn's 8×8 digits: a minute on 2 CPU cores, nothing to download.

    python examples/digits/train.py

The network holds one of each layer that phone networks are made of (convolution, depthwise
convolution, BatchNorm, ReLU6), takes raw pixels 0..16 and is saved as a Keras 3 `.keras`.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from data import test_set, train_set

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SEED = 0
EPOCHS = 40
BATCH = 32
HERE = Path(__file__).parent


def build_network() -> Any:
    """Raw pixels (8, 8, 1) float32 0..16 → `digit` (10,), a softmax."""
    import keras
    from keras import layers

    def activated(x: Any) -> Any:
        return layers.ReLU(max_value=6.0)(layers.BatchNormalization()(x))

    image = keras.Input((8, 8, 1), name="image")
    x = layers.Rescaling(1 / 16)(image)
    x = activated(layers.Conv2D(32, 3, padding="same", use_bias=False)(x))
    for filters, strides in ((64, 1), (96, 2), (128, 2)):
        depthwise = layers.DepthwiseConv2D(3, strides, padding="same", use_bias=False)
        x = activated(depthwise(x))
        x = activated(layers.Conv2D(filters, 1, use_bias=False)(x))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.3)(x)
    digit = layers.Dense(10, activation="softmax", name="digit")(x)
    return keras.Model(image, digit, name="digits")


def shifted(x: Any, rng: np.random.Generator) -> Any:
    """Move each digit by up to one pixel either way: writers do not centre theirs."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    moves = rng.integers(0, 3, (len(x), 2))
    return np.stack([p[r : r + 8, c : c + 8] for p, (r, c) in zip(padded, moves, strict=True)])


def train() -> Any:
    """Fit on the training split alone; the number of epochs is fixed, so nothing is tuned."""
    import keras

    keras.utils.set_random_seed(SEED)
    rng = np.random.default_rng(SEED)
    x, y = train_set()
    network = build_network()
    steps = math.ceil(len(x) / BATCH) * EPOCHS
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    network.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    for _ in range(EPOCHS):
        network.fit(shifted(x, rng), y, batch_size=BATCH, verbose=0)
    return network


def wilson(right: int, total: int) -> tuple[float, float]:
    """95 % confidence interval of a proportion, right for small samples and near 100 %."""
    z, p = 1.96, right / total
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total**2))
    return middle - half, middle + half


def main(
    out: Annotated[Path, typer.Option(help="Where the network goes.")] = HERE / "digits.keras",
    evaluate_only: Annotated[bool, typer.Option(help="Measure the network at --out.")] = False,
) -> None:
    """Train, save, load afresh and measure on the held-out digits."""
    import keras

    if not evaluate_only:
        network = train()
        # Saved without the optimizer's state, which would triple the file.
        keras.Model(network.inputs, network.outputs, name=network.name).save(out)
    network = keras.models.load_model(out, compile=False)
    right = total = 0
    for inputs, truth in test_set():
        guess = np.asarray(network.predict_on_batch(inputs["image"])).argmax(axis=1)
        right, total = right + int((guess == truth).sum()), total + len(truth)
    low, high = wilson(right, total)
    print(f"{network.count_params():,} parameters, {out.stat().st_size / 1000:.0f} kB")
    print(
        f"accuracy {right / total:.1%} ({right} of {total}), 95 % interval {low:.1%} – {high:.1%}"
    )


if __name__ == "__main__":
    typer.run(main)
