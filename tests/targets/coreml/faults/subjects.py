"""The packages that faults are planted in: networks with trained weights, and what they answer.

`digits` and `not_hotdog` are the examples' own weights. `reader` (embedding, LSTM, attention, LayerNorm,
gelu) and `painter` (dilated, grouped and transposed convolutions, resizing, pooling) are trained here on
scikit-learn's digits, in seconds, because no weights of such networks come with this checkout. The bench
adds MLPerf Tiny's networks where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mlc.convert.network import Description, Network
from mlc.convert.read import ReadOptions, from_model, read
from mlc.data.dataset import Dataset, Sample
from mlc.optimize.optimize import simplify
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import named
from mlc.targets.coreml import emit
from mlc.targets.target import Emission, Options
from mlc.validate.execute import reference
from tests.photographs import photographs

__all__ = ["COMPRESSIONS", "Given", "Subject", "make"]

Array = np.ndarray[Any, np.dtype[Any]]
ROOT = Path(__file__).parents[4]
SHARED = ROOT.parent / "shared" / "data"
SOURCES = {
    "digits": ROOT / "examples" / "digits" / "digits.keras",
    "not_hotdog": ROOT / "examples" / "not_hotdog" / "not_hotdog.h5",
    "resnet8": SHARED / "models" / "mlperf_tiny" / "pretrainedResnet.h5",
    "vww": SHARED / "models" / "mlperf_tiny" / "vww_96.h5",
}


@dataclass(frozen=True)
class Given:
    """Samples from memory, as a dataset."""

    feeds: tuple[dict[str, Array], ...]
    labelled: bool = False
    fingerprint: str | None = None

    @property
    def title(self) -> str:
        return f"{len(self.feeds)} samples"

    def samples(self) -> Iterator[Sample]:
        for feed in self.feeds:
            yield Sample(feed)


@dataclass(frozen=True)
class Subject:
    """A healthy package, the network that it was made of, and the network's own answers.

    `plain` is the package that it was compressed from, if it was.
    """

    name: str
    network: Network
    emission: Emission
    dataset: Dataset
    references: Path
    plain: Path | None

    @property
    def feeds(self) -> list[dict[str, Array]]:
        """The samples as batches of one."""
        return [
            {name: array[None] for name, array in sample.feeds.items()}
            for sample in self.dataset.samples()
        ]


def make(name: str, kind: str, folder: Path, samples: int) -> Subject:
    """`kind` is a recipe of mlc (`fp32`, `fp16`) or one of `COMPRESSIONS`."""
    network, simpler = _network(name)
    path, plain = folder / f"{name} {kind}.mlpackage", None
    if kind in COMPRESSIONS:
        plain = folder / "plain.mlpackage"
        ios, compress = COMPRESSIONS[kind]
        emit(simpler, Plan(named("fp32")), None, Options(ios=ios), plain)
        compress(plain, path)
        emission = Emission(path, "int8", "float32")
    else:
        emission = emit(simpler, Plan(named(kind)), None, Options(), path)
    dataset = Given(tuple(_data(name, network, samples)))
    references = folder / f"{name} {kind} answers"
    references.mkdir()
    reference(references, network, dataset, cases=0)
    return Subject(f"{name} {kind}", network, emission, dataset, references, plain)


@cache
def _network(name: str) -> tuple[Network, Network]:
    """The network as it was read, and as mlc hands it to targets."""
    description, options = Description(name), ReadOptions(batch=1)
    if name in SOURCES:
        network = read(SOURCES[name], description, options)
    else:
        network = from_model(TRAINED[name](), description, options)
    return network, simplify(network)[0]


# ---- data


@cache
def _digits() -> tuple[Array, Array]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images.astype(np.float32), digits.target.astype(np.int32)


def _data(name: str, network: Network, count: int) -> list[dict[str, Array]]:
    (spec,) = network.inputs
    if name in ("digits", "painter"):
        batch = _digits()[0][:count, :, :, None]
    elif name == "reader":
        batch = _digits()[0][:count].reshape(count, 64)
    else:
        _, height, width, _ = spec.shape
        assert height is not None
        assert width is not None
        batch = photographs(count, height, width) / (255 if name == "vww" else 1)
    return [{spec.name: row.astype(spec.dtype)} for row in batch]


# ---- networks trained on the spot


def _reader() -> Any:
    """Pixels as tokens → embedding → LSTM → attention → LSTM from behind → digit."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    pixels = keras.Input((64,), dtype="int32", name="pixels")
    x = layers.Embedding(17, 4)(pixels)
    x = layers.Reshape((8, 32))(x)
    x = layers.LSTM(16, return_sequences=True)(x)
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 8)(y, y)])
    y = layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x))
    back = layers.LSTM(16, go_backwards=True)(y)
    both = layers.Concatenate()([back, layers.GlobalAveragePooling1D()(x)])
    model = keras.Model(pixels, layers.Dense(10, activation="softmax", name="digit")(both))
    images, classes = (array[:1024] for array in _digits())
    model.compile(
        keras.optimizers.Adam(1e-2),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    history = model.fit(
        images.reshape(-1, 64).astype(np.int32), classes, batch_size=64, epochs=6, verbose=0
    )
    assert history.history["accuracy"][-1] > 0.8, "reader did not learn to read"
    return model


def _painter() -> Any:
    """A digit of 8×8 → the same digit of 16×16."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Rescaling(1 / 16)(image)
    x = layers.Conv2D(8, 3, dilation_rate=2, padding="same", activation="leaky_relu")(x)
    a = layers.BatchNormalization()(x)
    x = layers.Conv2D(8, 3, groups=2, padding="same", activation="elu")(a)
    x = layers.AveragePooling2D(3, 2, padding="same")(x)
    x = layers.Conv2D(12, 3, padding="same", activation="silu")(x)
    small = layers.MaxPooling2D(2)(x)
    x = layers.Concatenate()([x, layers.UpSampling2D(2)(small)])
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Concatenate()([x, a])
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    large = layers.Conv2D(1, 3, padding="same", activation="hard_sigmoid", name="large")(x)
    model = keras.Model(image, large)
    images = _digits()[0][:512]
    wanted = np.clip(images.repeat(2, 1).repeat(2, 2) / 16, 0, 1)[..., None]
    model.compile(keras.optimizers.Adam(1e-2), "mse", jit_compile=False)
    history = model.fit(images[..., None], wanted, batch_size=32, epochs=6, verbose=0)
    assert history.history["loss"][-1] < 0.02, "painter did not learn to paint"
    return model


TRAINED = {"reader": _reader, "painter": _painter}

# ---- compression by coremltools, of the float32 program


def _by(function: str, config: str, **options: Any) -> Callable[[Path, Path], None]:
    def compress(source: Path, to: Path) -> None:
        import coremltools
        import coremltools.optimize.coreml as cto

        made = getattr(cto, config)(weight_threshold=200, **options)
        model = coremltools.models.MLModel(str(source), skip_model_load=True)
        config_ = cto.OptimizationConfig(global_config=made)
        getattr(cto, function)(model, config_).save(str(to))

    return compress


_PALETTES = _by("palettize_weights", "OpPalettizerConfig", mode="kmeans", nbits=4)
_SPARSE = _by("prune_weights", "OpMagnitudePrunerConfig", target_sparsity=0.1)
_UINT8 = _by("linear_quantize_weights", "OpLinearQuantizerConfig", mode="linear", dtype="uint8")
_INT8 = _by("linear_quantize_weights", "OpLinearQuantizerConfig", mode="linear_symmetric")

# Kind -> the operator set of iOS, and how the float32 package is compressed.
COMPRESSIONS = {
    "palette": (18, _PALETTES),
    "sparse": (18, _SPARSE),
    "uint8": (18, _UINT8),
    "palette16": (16, _PALETTES),
    "sparse16": (16, _SPARSE),
    "int8": (16, _INT8),
}
