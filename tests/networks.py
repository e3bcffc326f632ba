"""Small networks with weights that matter, one for each kind of thing that converters get wrong.

Freshly initialised networks prove nothing: their activations vanish and every converter agrees to 0.0.
Here BatchNorm statistics are random, and heads are scaled up so that outputs vary.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Build = Callable[[], Any]
BUILDERS: dict[str, Build] = {}


def network(build: Build) -> Build:
    BUILDERS[build.__name__] = build
    return build


def make(name: str) -> Any:
    """The Keras 3 model of that name, seeded and randomized."""
    import keras

    keras.utils.set_random_seed(0)
    model = BUILDERS[name]()
    randomize(model)
    return model


def save(name: str, path: Path) -> Path:
    make(name).save(path)
    return path


def randomize(model: Any) -> None:
    """Give BatchNorm layers of either Keras statistics as if the network had been trained."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if hasattr(layer, "layers"):
            randomize(layer)
        elif type(layer).__name__ == "BatchNormalization":
            shape = layer.get_weights()[0].shape
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, shape),
                    rng.normal(0, 0.2, shape),
                    rng.normal(0, 0.2, shape),
                    rng.uniform(0.5, 1.5, shape),
                ]
            )


@network
def cnn() -> Any:
    """Conv, depthwise conv, BatchNorm, relu6, residual, pooling, softmax."""
    import keras
    from keras import layers

    image = keras.Input((24, 24, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.Conv2D(8, 1, use_bias=False)(y)
    x = layers.Add()([x, layers.BatchNormalization()(y)])
    x = layers.Conv2D(160, 1, activation="relu")(x)  # TFLite quantizes no weights below 1,024
    x = layers.GlobalAveragePooling2D()(x)
    scale = keras.initializers.RandomNormal(stddev=2.0)
    scores = layers.Dense(5, activation="softmax", kernel_initializer=scale, name="scores")(x)
    return keras.Model(image, scores, name="cnn")


@network
def two_in_two_out() -> Any:
    """Inputs whose order is easily swapped, and two outputs."""
    import keras
    from keras import layers

    left = keras.Input((6,), name="left")
    right = keras.Input((6,), name="right")
    x = layers.Dense(8, activation="tanh")(left)
    y = layers.Dense(8, activation="relu")(right)
    z = layers.Concatenate()([x, y])
    total = layers.Dense(3, name="total")(z)
    ratio = layers.Dense(1, activation="sigmoid", name="ratio")(layers.Subtract()([x, y]))
    return keras.Model([left, right], [total, ratio], name="two")


@network
def nested() -> Any:
    """The transfer-learning shape: a model inside a model."""
    import keras
    from keras import layers

    inner = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(6, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
        ],
        name="trunk",
    )
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Flatten()(inner(image))
    return keras.Model(image, layers.Dense(4, activation="softmax", name="kind")(x), name="nested")


@network
def lstm() -> Any:
    import keras
    from keras import layers

    steps = keras.Input((12, 4), name="steps")
    x = layers.LSTM(6)(steps)
    return keras.Model(steps, layers.Dense(3, name="scores", activation="softmax")(x), name="lstm")


@network
def gru() -> Any:
    import keras
    from keras import layers

    steps = keras.Input((12, 4), name="steps")
    x = layers.GRU(6, return_sequences=True)(steps)
    x = layers.GlobalMaxPooling1D()(x)
    return keras.Model(steps, layers.Dense(3, name="scores")(x), name="gru")


@network
def attention() -> Any:
    """LayerNorm, multi-head attention, gelu."""
    import keras
    from keras import layers

    tokens = keras.Input((8, 16), name="tokens")
    x = layers.LayerNormalization()(tokens)
    x = layers.Add()([tokens, layers.MultiHeadAttention(2, 8)(x, x)])
    x = layers.Dense(16, activation="gelu")(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(tokens, layers.Dense(3, name="scores")(x), name="attention")


@network
def unet() -> Any:
    """Transposed convolution, upsampling, skip connection, per-pixel output."""
    import keras
    from keras import layers

    image = keras.Input((16, 16, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    a = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    b = layers.Conv2D(8, 3, padding="same", activation="elu")(layers.MaxPooling2D()(a))
    up = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="leaky_relu")(b)
    wide = layers.UpSampling2D(interpolation="bilinear")(b)
    x = layers.Concatenate()([a, up, wide])
    mask = layers.Conv2D(1, 1, activation="sigmoid", name="mask")(x)
    return keras.Model(image, mask, name="unet")


@network
def audio() -> Any:
    """Dilated, causal Conv1D."""
    import keras
    from keras import layers

    wave = keras.Input((64, 1), name="wave")
    x = layers.Conv1D(6, 5, dilation_rate=2, padding="causal", activation="relu")(wave)
    x = layers.Conv1D(8, 3, strides=2, activation="tanh")(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(wave, layers.Dense(3, activation="softmax", name="kind")(x), name="audio")


@network
def text() -> Any:
    """Integer tokens into an embedding."""
    import keras
    from keras import layers

    tokens = keras.Input((10,), dtype="int32", name="tokens")
    x = layers.Embedding(50, 24, embeddings_initializer="random_normal")(
        tokens
    )  # large enough to plan
    x = layers.Conv1D(8, 3, activation="silu")(x)
    x = layers.GlobalMaxPooling1D()(x)
    scale = keras.initializers.RandomNormal(stddev=3.0)
    mood = layers.Dense(2, activation="softmax", kernel_initializer=scale, name="mood")(x)
    return keras.Model(tokens, mood, name="text")


@network
def uneven() -> Any:
    """Channels that differ a thousandfold: one scale for a whole tensor cannot hold them."""
    import keras
    from keras import layers

    image = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(16, 3, activation="relu", padding="same")(image)
    x = layers.Conv2D(16, 3, activation="relu", padding="same")(x)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(16, 3, activation="relu")(x))
    model = keras.Model(image, layers.Dense(4, name="scores")(x), name="uneven")
    rng = np.random.default_rng(1)
    before = np.ones(3)
    for layer in [one for one in model.layers if one.get_weights()]:
        kernel, bias = layer.get_weights()
        last = layer.name == "scores"
        after = np.ones(len(bias)) if last else 10 ** rng.uniform(-1.5, 1.5, len(bias))
        layer.set_weights([kernel / before[:, None] * after, bias * after])
        before = after
    return model
