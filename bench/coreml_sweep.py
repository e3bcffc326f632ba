"""Keras layers and their options, one by one: convert to Core ML, evaluate, compare with TensorFlow.

    python bench/coreml_sweep.py [--half] [--output FILE.md] [words in the names of cases ...]

Every case becomes a package by mlc's own route. float32 packages are evaluated in the mode `float32` and
must agree to 2e-5 of the output's range; with --half float16 packages are evaluated as declared and must
agree to 3e-2. Prints every case that is not exact, by name, and the totals; what does not convert is
listed with the converter's reason, because the evaluator is only asked about what converts.
"""

from __future__ import annotations

import argparse
import collections
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

Make = Callable[[Any], Any]  # Keras's `layers` module, its input tensor -> output tensor
IMAGE, SERIES, FLAT, VOLUME = (17, 15, 6), (9, 6), (8,), (8, 9, 10, 3)
CASES: dict[str, tuple[tuple[int, ...], str, Callable[[Any, Any, Any], Any]]] = {}


def case(
    name: str, shape: tuple[int, ...], make: Callable[[Any, Any, Any], Any], dtype: str = "float32"
) -> None:
    """`make(layers, ops, x)` gives the output tensor."""
    CASES[name] = (shape, dtype, make)


def layer(
    name: str, shape: tuple[int, ...], kind: str, *args: Any, dtype: str = "float32", **options: Any
) -> None:
    """One layer applied to the input."""
    case(name, shape, lambda kl, ops, x: getattr(kl, kind)(*args, **options)(x), dtype)


def operation(name: str, shape: tuple[int, ...], function: Callable[[Any, Any], Any]) -> None:
    """A function `f(ops, x)` of `keras.ops`."""
    case("op " + name, shape, lambda kl, ops, x: function(ops, x))


def convolutions() -> None:
    for padding in ("same", "valid"):
        for stride in (1, 2, 3):
            layer(
                f"Conv2D {padding} /{stride}",
                IMAGE,
                "Conv2D",
                5,
                3,
                strides=stride,
                padding=padding,
            )
            layer(
                f"Conv2DTranspose {padding} /{stride}",
                IMAGE,
                "Conv2DTranspose",
                5,
                3,
                strides=stride,
                padding=padding,
            )
            layer(
                f"Conv1D {padding} /{stride}",
                (20, 6),
                "Conv1D",
                5,
                3,
                strides=stride,
                padding=padding,
            )
        layer(
            f"Conv2D {padding} even kernel", IMAGE, "Conv2D", 5, (4, 2), strides=2, padding=padding
        )
        layer(
            f"DepthwiseConv2D {padding}",
            IMAGE,
            "DepthwiseConv2D",
            3,
            strides=2,
            padding=padding,
            depth_multiplier=2,
        )
        layer(f"SeparableConv2D {padding}", IMAGE, "SeparableConv2D", 7, 3, padding=padding)
        layer(f"Conv2D dilated {padding}", IMAGE, "Conv2D", 5, 3, dilation_rate=3, padding=padding)
        layer(f"Conv3D {padding}", VOLUME, "Conv3D", 4, 3, strides=2, padding=padding)
        layer(
            f"Conv1DTranspose {padding}",
            (20, 6),
            "Conv1DTranspose",
            5,
            3,
            strides=2,
            padding=padding,
        )
    layer("Conv2DTranspose even kernel", IMAGE, "Conv2DTranspose", 5, 4, strides=2, padding="same")
    layer(
        "Conv2DTranspose output padding",
        IMAGE,
        "Conv2DTranspose",
        5,
        3,
        strides=2,
        padding="same",
        output_padding=1,
    )
    layer("Conv2D groups", IMAGE, "Conv2D", 9, 3, groups=3)
    layer("Conv2D without bias", IMAGE, "Conv2D", 9, 3, use_bias=False)
    layer("Conv1D causal dilated", (20, 6), "Conv1D", 5, 3, padding="causal", dilation_rate=2)
    layer("DepthwiseConv1D", (20, 6), "DepthwiseConv1D", 3)
    layer("SeparableConv1D", (20, 6), "SeparableConv1D", 5, 3)


def pooling() -> None:
    for kind in ("Max", "Average"):
        for padding in ("same", "valid"):
            layer(f"{kind}Pooling2D {padding}", IMAGE, kind + "Pooling2D", 3, 2, padding=padding)
            layer(f"{kind}Pooling1D {padding}", (21, 6), kind + "Pooling1D", 2, padding=padding)
        layer(f"{kind}Pooling3D", VOLUME, kind + "Pooling3D", 2)
        layer(f"Global{kind}Pooling2D", IMAGE, f"Global{kind}Pooling2D")
        layer(f"Global{kind}Pooling2D kept", IMAGE, f"Global{kind}Pooling2D", keepdims=True)
        layer(f"Global{kind}Pooling1D", SERIES, f"Global{kind}Pooling1D")


def shapes() -> None:
    layer("ZeroPadding2D", IMAGE, "ZeroPadding2D", ((1, 2), (0, 3)))
    layer("ZeroPadding1D", SERIES, "ZeroPadding1D", (1, 2))
    layer("Cropping2D", IMAGE, "Cropping2D", ((1, 2), (0, 3)))
    layer("Cropping1D", SERIES, "Cropping1D", (1, 2))
    for way in ("nearest", "bilinear", "bicubic"):
        layer(f"UpSampling2D {way}", IMAGE, "UpSampling2D", (2, 3), interpolation=way)
        layer(f"Resizing {way} down and up", IMAGE, "Resizing", 11, 23, interpolation=way)
        layer(f"Resizing {way} down", IMAGE, "Resizing", 9, 7, interpolation=way)
        layer(f"Resizing {way} double", IMAGE, "Resizing", 34, 30, interpolation=way)
    layer("UpSampling1D", SERIES, "UpSampling1D", 3)
    layer("UpSampling3D", VOLUME, "UpSampling3D", 2)
    layer("Permute", IMAGE, "Permute", (3, 1, 2))
    layer("Reshape", IMAGE, "Reshape", (-1, 5))
    layer("Flatten", IMAGE, "Flatten")
    layer("RepeatVector", FLAT, "RepeatVector", 3)
    layer("CenterCrop", IMAGE, "CenterCrop", 9, 8)
    layer("Rescaling", IMAGE, "Rescaling", 1 / 255, offset=-0.5)
    layer(
        "Rescaling per channel", IMAGE, "Rescaling", [1, 2, 3, 4, 5, 6], offset=[0, 1, 0, 1, 0, 1]
    )
    layer("Normalization", IMAGE, "Normalization", mean=0.3, variance=2.0)


def activations() -> None:
    for name in (
        *(
            "relu",
            "relu6",
            "elu",
            "selu",
            "gelu",
            "silu",
            "softplus",
            "softsign",
            "tanh",
            "sigmoid",
        ),
        *("hard_sigmoid", "hard_silu", "exponential", "mish", "leaky_relu", "celu", "log_softmax"),
        *("softmax", "linear", "squareplus", "hard_tanh", "glu", "tanh_shrink", "hard_shrink"),
        *("soft_shrink", "log_sigmoid", "sparse_plus"),
    ):
        layer(f"activation {name}", (5, 8), "Activation", name)
    operation("threshold", (5, 8), lambda ops, x: ops.threshold(x, 0.1, 0.0))
    operation("gelu by tanh", (5, 8), lambda ops, x: ops.gelu(x, approximate=True))
    layer("PReLU", IMAGE, "PReLU", shared_axes=[1, 2], alpha_initializer="uniform")
    layer("PReLU per element", (5, 8), "PReLU", alpha_initializer="uniform")
    layer(
        "ReLU max, slope, threshold", (5, 8), "ReLU", max_value=2, negative_slope=0.1, threshold=0.3
    )
    layer("ELU", (5, 8), "ELU", alpha=0.5)
    layer("LeakyReLU", (5, 8), "LeakyReLU", negative_slope=0.2)
    layer("Softmax axis 1", (5, 8), "Softmax", axis=1)


def normalizations() -> None:
    uniform = {"beta_initializer": "uniform", "gamma_initializer": "uniform"}
    layer("LayerNormalization", (5, 8), "LayerNormalization", **uniform)
    layer("LayerNormalization two axes", IMAGE, "LayerNormalization", axis=(1, 3), **uniform)
    layer("LayerNormalization no scale", (5, 8), "LayerNormalization", scale=False)
    layer("GroupNormalization", IMAGE, "GroupNormalization", 3, **uniform)
    layer("GroupNormalization per instance", IMAGE, "GroupNormalization", -1, **uniform)
    layer("UnitNormalization", (5, 8), "UnitNormalization")
    layer("RMSNormalization", (5, 8), "RMSNormalization")
    layer(
        "BatchNormalization", IMAGE, "BatchNormalization",
        moving_mean_initializer="uniform", moving_variance_initializer="ones", **uniform,
    )  # fmt: skip
    layer(
        "BatchNormalization flat",
        FLAT,
        "BatchNormalization",
        moving_mean_initializer="uniform",
        **uniform,
    )
    layer("BatchNormalization axis 1", IMAGE, "BatchNormalization", axis=1, **uniform)
    layer("SpectralNormalization", IMAGE, "Conv2D", 4, 3)


def dense_and_text() -> None:
    layer("Dense", FLAT, "Dense", 4, bias_initializer="uniform")
    layer("Dense on series", (5, 8), "Dense", 4, bias_initializer="uniform", activation="relu")
    layer(
        "EinsumDense", (5, 8), "EinsumDense", "abc,cd->abd", output_shape=(None, 7), bias_axes="d"
    )
    layer("Embedding", (7,), "Embedding", 50, 6, dtype="int32")
    for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"):
        case(name, (5, 8), lambda kl, ops, x, n=name: getattr(kl, n)()([x, kl.Dense(8)(x)]))
    case("Dot", (5, 8), lambda kl, ops, x: kl.Dot(axes=2)([x, kl.Dense(8)(x)]))
    case("Dropout", (5, 8), lambda kl, ops, x: kl.Dropout(0.5)(x) * 2)


def recurrent() -> None:
    for kind in ("LSTM", "GRU", "SimpleRNN"):
        for sequences in (True, False):
            layer(
                f"{kind} sequences={sequences}",
                SERIES,
                kind,
                5,
                return_sequences=sequences,
                bias_initializer="uniform",
            )
        layer(f"{kind} backwards", SERIES, kind, 5, go_backwards=True)
        layer(f"{kind} relu", SERIES, kind, 5, activation="relu")
        layer(f"{kind} unrolled", SERIES, kind, 5, unroll=True)
        case(
            f"{kind} both ways", SERIES,
            lambda kl, ops, x, k=kind: kl.Bidirectional(getattr(kl, k)(5, return_sequences=True))(x),
        )  # fmt: skip
        case(
            f"{kind} stacked", SERIES,
            lambda kl, ops, x, k=kind: getattr(kl, k)(4)(getattr(kl, k)(5, return_sequences=True)(x)),
        )  # fmt: skip
    layer("LSTM without bias", SERIES, "LSTM", 5, use_bias=False)
    layer("LSTM hard sigmoid", SERIES, "LSTM", 5, recurrent_activation="hard_sigmoid")
    layer("GRU reset before", SERIES, "GRU", 5, reset_after=False)
    case(
        "LSTM masked", (9,),
        lambda kl, ops, x: kl.LSTM(5)(kl.Embedding(50, 6, mask_zero=True)(x)), "int32",
    )  # fmt: skip
    layer("ConvLSTM2D", (4, 8, 8, 3), "ConvLSTM2D", 4, 3, padding="same")
    case(
        "TimeDistributed Conv2D",
        (4, 8, 8, 3),
        lambda kl, ops, x: kl.TimeDistributed(kl.Conv2D(4, 3))(x),
    )
    case("TimeDistributed Dense", SERIES, lambda kl, ops, x: kl.TimeDistributed(kl.Dense(4))(x))


def attention() -> None:
    case("MultiHeadAttention", (9, 8), lambda kl, ops, x: kl.MultiHeadAttention(2, 4)(x, x))
    case(
        "MultiHeadAttention causal", (9, 8),
        lambda kl, ops, x: kl.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True),
    )  # fmt: skip
    case("GroupQueryAttention", (9, 8), lambda kl, ops, x: kl.GroupQueryAttention(4, 4, 2)(x, x))
    case("Attention", (9, 8), lambda kl, ops, x: kl.Attention()([x, x]))
    case("AdditiveAttention", (9, 8), lambda kl, ops, x: kl.AdditiveAttention()([x, x]))


def operations() -> None:
    rows = (5, 8)
    for name, function in {
        "top_k": lambda ops, x: ops.top_k(x, 3)[0],
        "argmax": lambda ops, x: ops.argmax(x, -1),
        "argmin": lambda ops, x: ops.argmin(x, 1),
        "argsort": lambda ops, x: ops.argsort(x, -1),
        "cumsum": lambda ops, x: ops.cumsum(x, 1),
        "sort": lambda ops, x: ops.sort(x, -1),
        "one_hot": lambda ops, x: ops.one_hot(ops.argmax(x, -1), 8),
        "einsum": lambda ops, x: ops.einsum("bij,bkj->bik", x, x),
        "matmul": lambda ops, x: ops.matmul(x, ops.transpose(x, (0, 2, 1))),
        "logsumexp": lambda ops, x: ops.logsumexp(x, -1),
        "std": lambda ops, x: ops.std(x, -1),
        "var": lambda ops, x: ops.var(x, 1),
        "norm": lambda ops, x: ops.norm(x, axis=-1),
        "where": lambda ops, x: ops.where(x > 0, x, x * x),
        "power": lambda ops, x: ops.power(ops.abs(x), 1.7),
        "mod": lambda ops, x: ops.mod(x, 0.7),
        "mod of negatives": lambda ops, x: ops.mod(x, -0.7),
        "floor_divide": lambda ops, x: ops.floor_divide(x, 0.3),
        "slice with strides": lambda ops, x: x[:, ::-2, 1:7:3],
        "slice from behind": lambda ops, x: x[:, -3:, :-2],
        "index": lambda ops, x: x[:, 2] + x[:, -1],
        "split": lambda ops, x: ops.concatenate(ops.split(x, 4, -1)[::-1], -1),
        "stack": lambda ops, x: ops.stack([x, x * 2], 1),
        "tile": lambda ops, x: ops.tile(x, (1, 2, 1)),
        "repeat": lambda ops, x: ops.repeat(x, 2, 1),
        "clip": lambda ops, x: ops.clip(x, -0.3, 0.8),
        "triu": lambda ops, x: ops.triu(x),
        "tril": lambda ops, x: ops.tril(x, -1),
        "prod": lambda ops, x: ops.prod(x, -1),
        "max and min": lambda ops, x: ops.max(x, 1) - ops.min(x, 1),
        "log1p": lambda ops, x: ops.log1p(ops.abs(x)),
        "expm1": lambda ops, x: ops.expm1(x),
        "roll": lambda ops, x: ops.roll(x, 2, 1),
        "flip": lambda ops, x: ops.flip(x, 1),
        "take": lambda ops, x: ops.take(x, [2, 0], axis=1),
        "take_along_axis": lambda ops, x: ops.take_along_axis(x, ops.argsort(x, -1), -1),
        "pad reflect": lambda ops, x: ops.pad(x, ((0, 0), (1, 2), (2, 1)), mode="reflect"),
        "pad symmetric": lambda ops, x: ops.pad(x, ((0, 0), (1, 2), (2, 1)), mode="symmetric"),
        "erf": lambda ops, x: ops.erf(x),
        "rsqrt": lambda ops, x: ops.rsqrt(ops.abs(x) + 0.1),
        "log": lambda ops, x: ops.log(ops.abs(x) + 0.1),
        "sin cos tan": lambda ops, x: ops.sin(x) + ops.cos(x) + ops.tan(x * 0.3),
        "hyperbolic": lambda ops, x: ops.sinh(x) + ops.cosh(x) + ops.arctan(x),
        "rounding": lambda ops, x: ops.round(x) + ops.floor(x) * 2 + ops.ceil(x) * 3 + ops.sign(x),
        "comparisons": lambda ops, x: ops.cast(ops.logical_and(x > 0, x < 1), "float32"),
        "any and all": lambda ops, x: ops.cast(ops.any(x > 1, -1), "float32"),
        "cast": lambda ops, x: ops.cast(ops.cast(x * 3, "int32"), "float32"),
        "squeeze and expand": lambda ops, x: ops.squeeze(ops.expand_dims(x, 1), 1) + 1,
        "moveaxis": lambda ops, x: ops.moveaxis(x, 1, 2),
        "isfinite": lambda ops, x: ops.cast(ops.isfinite(x), "float32"),
        "maximum": lambda ops, x: ops.maximum(x, 0.2) + ops.minimum(x, 0.1),
        "scatter_update": lambda ops, x: ops.slice_update(x, (0, 1, 2), ops.ones((1, 2, 3))),
        "segments": lambda ops, x: ops.mean(ops.reshape(x, (-1, 5, 4, 2)), -1),
    }.items():
        operation(name, rows, function)
    for name, function in {
        "depth_to_space": lambda tf, x: tf.nn.depth_to_space(tf.reshape(x, (-1, 5, 2, 4)), 2),
        "space_to_depth": lambda tf, x: tf.nn.space_to_depth(tf.reshape(x, (-1, 10, 4, 1)), 2),
        "gather_nd": lambda tf, x: tf.gather_nd(x[0], [[0, 1], [2, 3]])[None],
        "gather per batch": lambda tf, x: tf.gather(x, [[1, 0, 2]], axis=2, batch_dims=1),
        "reverse_sequence": lambda tf, x: tf.reverse_sequence(x, [3], seq_axis=1, batch_axis=0),
        "l2_normalize": lambda tf, x: tf.nn.l2_normalize(x, -1),
        "lrn": lambda tf, x: tf.nn.lrn(tf.reshape(x, (-1, 5, 2, 4)), 1),
        "tensor_scatter_nd_update": lambda tf, x: tf.tensor_scatter_nd_update(
            x, [[0, 1], [0, 3]], tf.ones((2, 8))
        ),
        "matrix_band_part": lambda tf, x: tf.linalg.band_part(x, 1, 2),
        "space_to_batch": lambda tf, x: tf.space_to_batch(
            tf.reshape(x, (-1, 5, 4, 2)), [2, 2], [[0, 1], [0, 0]]
        ),
        "dilated convolution": lambda tf, x: tf.nn.convolution(
            tf.reshape(x, (-1, 5, 8, 1)), tf.ones((2, 2, 1, 3)), dilations=2
        ),
        "mirror pad": lambda tf, x: tf.pad(x, [[0, 0], [2, 1], [1, 3]], "REFLECT"),
    }.items():
        tensorflow_operation(name, function)


def tensorflow_operation(name: str, function: Callable[[Any, Any], Any]) -> None:
    """A function `f(tf, x)` of TensorFlow itself, in a Lambda layer."""

    def make(kl: Any, ops: Any, x: Any) -> Any:
        import tensorflow

        return kl.Lambda(lambda t: function(tensorflow, t))(x)

    case("tf " + name, (5, 8), make)


def try_case(name: str, half: bool, folder: Path) -> tuple[str, str, set[str]]:
    """The verdict on one case, the reason, and the op kinds of its package."""
    import keras

    from mlc.convert.execute import Reference
    from mlc.convert.network import Description
    from mlc.convert.read import ReadOptions, from_model
    from mlc.errors import UnverifiableError
    from mlc.optimize.optimize import simplify
    from mlc.optimize.plan import Plan
    from mlc.optimize.recipe import named
    from mlc.targets.coreml import emit, evaluator
    from mlc.targets.coreml.evaluator.program import load
    from mlc.targets.target import Options

    shape, dtype, make = CASES[name]
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    try:
        given = keras.Input(shape, name="x", dtype=dtype)
        made = make(keras.layers, keras.ops, given)
        model = keras.Model(given, keras.layers.Identity(name="y")(made))
        network = from_model(model, Description("case"), ReadOptions(batch=1))
        x = (
            rng.integers(0, 50, (1, *shape)).astype(dtype)
            if dtype == "int32"
            else rng.normal(0, 1, (1, *shape)).astype(dtype)
        )
        feeds = {network.inputs[0].name: x}
        expected = Reference(network).run(feeds)
    except Exception as error:
        return "not a network", f"{type(error).__name__}: {error}", set()
    path = folder / "case.mlpackage"
    try:
        plan = Plan(named("fp16" if half else "fp32"))
        emit(simplify(network)[0], plan, None, Options(ios=17), path)
    except Exception as error:
        return "not converted", str(error), set()
    kinds = {op.kind for op in load(path).block.walk()}
    try:
        found = evaluator.open(path, "declared" if half else "float32").run(feeds)
    except UnverifiableError as error:
        return "refused", str(error), kinds
    for output, wanted in expected.items():
        array = found[output]
        if array.shape != wanted.shape:
            return "differs", f"shape {array.shape}, not {wanted.shape}", kinds
        difference = np.abs(array.astype(np.float64) - wanted)
        error_ = float(difference.max()) / max(1e-6, float(np.abs(wanted).max()))
        if not error_ < (3e-2 if half else 2e-5):
            return "differs", f"{error_:.2g} of the range", kinds
    return "same", "", kinds


def main() -> int:
    """Run the cases whose names contain all the words given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*", help="in the names of cases")
    parser.add_argument("--half", action="store_true", help="float16, as declared")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    for fill in (
        convolutions, pooling, shapes, activations, normalizations, dense_and_text, recurrent,
        attention, operations,
    ):  # fmt: skip
        fill()
    chosen = [name for name in CASES if all(word in name for word in options.words)]
    verdicts: dict[str, tuple[str, str]] = {}
    kinds: set[str] = set()
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            verdict, reason, used = try_case(name, options.half, Path(folder))
        verdicts[name] = (verdict, " ".join(reason.split())[:200])
        kinds |= used
        if verdict != "same":
            print(f"{verdict:14} {name:34} {verdicts[name][1]}", flush=True)
    text = "\n".join(page(verdicts, kinds, options.half)) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    return 0 if not {"refused", "differs"} & {v for v, _ in verdicts.values()} else 1


def page(verdicts: dict[str, tuple[str, str]], kinds: set[str], half: bool) -> list[str]:
    """The totals, and every case that is not the same as TensorFlow's."""
    from mlc.store import tools

    counts = collections.Counter(verdict for verdict, _ in verdicts.values())
    mode, limit = ("float16, as declared", "3e-2") if half else ("float32", "2e-5")
    others = [(name, *found) for name, found in verdicts.items() if found[0] != "same"]
    known = tools()
    return [
        "# Keras layers and their options in Core ML, evaluated",
        "",
        f"Made by `python bench/coreml_sweep.py{' --half' if half else ''} --output FILE`; {mode}, keras "
        f"{known['keras']}, tensorflow {known['tensorflow']}, coremltools {known['coremltools']}, "
        f"onnxruntime {known['onnxruntime']}.",
        "",
        f"{len(verdicts)} cases: {counts['same']} agree with TensorFlow to {limit} of the output's range,"
        f" {counts['differs']} differ, {counts['refused']} convert and are refused by the evaluator, "
        f"{counts['not converted']} do not convert, {counts['not a network']} are refused by Keras or "
        "when read.",
        "",
        "| case | verdict | reason |",
        "|---|---|---|",
        *(f"| {name} | {verdict} | {reason} |" for name, verdict, reason in others),
        "",
        f"{len(kinds)} op kinds: {', '.join(sorted(kinds))}.",
        "",
        f"Cases: {', '.join(verdicts)}.",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
