"""Each op against numpy. One package holds many ops, so that the module stays fast."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.targets.coreml import evaluator
from tests.targets.coreml.evaluator import programs

Array = np.ndarray[Any, np.dtype[Any]]

rng = np.random.default_rng(0)


def normal(*shape: int) -> Array:
    return rng.normal(0, 1, shape).astype(np.float32)


X = normal(2, 3, 8, 6)
Y = normal(2, 3, 8, 6)
S = normal(3, 4, 5)  # a sequence, or a stack of matrices
P = np.abs(normal(4, 5)) + 0.1  # positive
U = rng.uniform(-0.95, 0.95, (4, 5)).astype(np.float32)
I = rng.integers(-7, 8, (4, 5)).astype(np.int32)  # noqa: E741
J = np.where(rng.integers(0, 2, (4, 5)) == 1, 3, -2).astype(np.int32)
AT = np.array([2, 0, 1, 2], np.int32)
ARRAYS = {"x": X, "y": Y, "s": S, "p": P, "u": U, "i": I, "j": J, "at": AT}

WEIGHT = normal(4, 3, 3, 2)
DEPTHWISE = normal(6, 1, 3, 3)
BACKWARD = normal(3, 5, 3, 2)
BIAS = normal(4)
CHANNEL = {k: np.abs(normal(3)) + 0.2 for k in ("gamma", "beta", "mean", "variance", "alpha")}


@dataclass(frozen=True)
class Case:
    name: str
    build: Callable[[Any, Any], Any]  # (mb, inputs as a namespace) -> variable
    expected: Callable[[], Array]
    ios: int = 15
    tolerance: float = 2e-6  # of the largest expected magnitude, at least of 1


CASES: list[Case] = []


def case(name: str, build: Any, expected: Any, ios: int = 15, **options: Any) -> None:
    CASES.append(Case(name, build, expected, ios, **options))


# ---- elementwise

UNARY = {
    "abs": np.abs, "ceil": np.ceil, "cos": np.cos, "cosh": np.cosh, "exp": np.exp,
    "exp2": np.exp2, "floor": np.floor, "round": np.round, "sign": np.sign, "sin": np.sin,
    "sinh": np.sinh, "square": np.square, "tan": np.tan, "tanh": np.tanh, "atan": np.arctan,
    "relu": lambda x: np.maximum(x, 0), "relu6": lambda x: np.clip(x, 0, 6),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)), "softsign": lambda x: x / (1 + np.abs(x)),
    "erf": np.vectorize(math.erf), "identity": lambda x: x,
}  # fmt: skip
for kind, function in UNARY.items():
    case(
        kind,
        lambda mb, v, kind=kind: getattr(mb, kind)(x=mb.mul(x=v.s, y=3.0)),
        lambda f=function: f((S * 3).astype(np.float64)),
    )
for kind, function in {"acos": np.arccos, "asin": np.arcsin, "atanh": np.arctanh}.items():
    case(kind, lambda mb, v, kind=kind: getattr(mb, kind)(x=v.u), lambda f=function: f(U))
case("sqrt", lambda mb, v: mb.sqrt(x=v.p), lambda: np.sqrt(P))
case("log", lambda mb, v: mb.log(x=v.p, epsilon=0.5), lambda: np.log(P + 0.5))
case("log default", lambda mb, v: mb.log(x=v.p), lambda: np.log(P))
case("rsqrt", lambda mb, v: mb.rsqrt(x=v.p, epsilon=0.25), lambda: (P + 0.25) ** -0.5)
case("inverse", lambda mb, v: mb.inverse(x=v.p, epsilon=0.25), lambda: 1 / (P + 0.25))
case("inverse default", lambda mb, v: mb.inverse(x=v.p), lambda: 1 / (P + 1e-4))
case("clip", lambda mb, v: mb.clip(x=v.u, alpha=-0.2, beta=0.6), lambda: np.clip(U, -0.2, 0.6))
case("threshold", lambda mb, v: mb.threshold(x=v.u, alpha=0.1), lambda: np.maximum(U, 0.1))
case(
    "logical_not",
    lambda mb, v: mb.logical_not(x=mb.greater(x=v.i, y=0)),
    lambda: (I <= 0).astype(np.float32),
)
BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "real_div": np.divide,
    "maximum": np.maximum, "minimum": np.minimum, "floor_div": np.floor_divide, "mod": np.mod,
    "equal": np.equal, "not_equal": np.not_equal, "less": np.less, "greater": np.greater,
    "less_equal": np.less_equal, "greater_equal": np.greater_equal,
}  # fmt: skip
for kind, function in BINARY.items():
    case(
        f"{kind} broadcast",
        lambda mb, v, kind=kind: getattr(mb, kind)(x=v.x, y=X[:1, :, :1]),
        lambda f=function: f(X, X[:1, :, :1]),
    )
    if kind != "real_div":
        case(
            f"{kind} of integers",
            lambda mb, v, kind=kind: getattr(mb, kind)(x=v.i, y=v.j),
            lambda f=function: f(I, J),
        )
for kind, function in {
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}.items():
    case(
        kind,
        lambda mb, v, kind=kind: getattr(mb, kind)(
            x=mb.greater(x=v.i, y=0), y=mb.greater(x=v.j, y=0)
        ),
        lambda f=function: f(I > 0, J > 0),
    )
case("pow", lambda mb, v: mb.pow(x=v.p, y=1.7), lambda: P**1.7)
case("cast to int", lambda mb, v: mb.cast(x=v.s, dtype="int32"), lambda: S.astype(np.int32))
case("cast to bool", lambda mb, v: mb.cast(x=v.i, dtype="bool"), lambda: I != 0)
case("cast of int", lambda mb, v: mb.cast(x=v.i, dtype="fp32"), lambda: I.astype(np.float32))
case(
    "cast to int8 wraps",
    lambda mb, v: mb.cast(x=mb.cast(x=mb.mul(x=v.i, y=50), dtype="int8"), dtype="int32"),
    lambda: (I * 50).astype(np.int8),
    17,
)
case(
    "cast to uint16 wraps",
    lambda mb, v: mb.cast(x=mb.cast(x=v.i, dtype="uint16"), dtype="int32"),
    lambda: I.astype(np.uint16),
    17,
)
case(
    "select",
    lambda mb, v: mb.select(cond=mb.greater(x=v.x, y=0.0), a=v.x, b=v.y),
    lambda: np.where(X > 0, X, Y),
)

# ---- activation


def per_channel(name: str) -> Array:
    return CHANNEL[name].reshape(3, 1, 1)


case("elu", lambda mb, v: mb.elu(x=v.x, alpha=0.7), lambda: np.where(X > 0, X, 0.7 * np.expm1(X)))
case(
    "leaky_relu",
    lambda mb, v: mb.leaky_relu(x=v.x, alpha=0.2),
    lambda: np.where(X >= 0, X, 0.2 * X),
)
case(
    "prelu",
    lambda mb, v: mb.prelu(x=v.x, alpha=CHANNEL["alpha"]),
    lambda: np.where(X > 0, X, per_channel("alpha") * X),
)
case(
    "clamped_relu",
    lambda mb, v: mb.clamped_relu(x=v.x, alpha=0.3, beta=0.8),
    lambda: np.minimum(0.8, np.where(X >= 0, X, 0.3 * X)),
)
case(
    "thresholded_relu",
    lambda mb, v: mb.thresholded_relu(x=v.i_float, alpha=2.0),
    lambda: np.where(I >= 2, I, 0),
)
case(
    "sigmoid_hard",
    lambda mb, v: mb.sigmoid_hard(x=v.x, alpha=0.3, beta=0.4),
    lambda: np.clip(0.3 * X + 0.4, 0, 1),
)
case(
    "linear_activation",
    lambda mb, v: mb.linear_activation(x=v.x, alpha=0.3, beta=0.4),
    lambda: 0.3 * X + 0.4,
)
case(
    "scaled_tanh",
    lambda mb, v: mb.scaled_tanh(x=v.x, alpha=1.5, beta=0.6),
    lambda: 1.5 * np.tanh(0.6 * X),
)
case(
    "softplus_parametric",
    lambda mb, v: mb.softplus_parametric(x=v.x, alpha=CHANNEL["alpha"], beta=CHANNEL["beta"]),
    lambda: per_channel("alpha") * np.log1p(np.exp(per_channel("beta") * X)),
)
GELU = {
    "EXACT": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "TANH_APPROXIMATION": lambda x: (
        x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    ),
    "SIGMOID_APPROXIMATION": lambda x: x / (1 + np.exp(-1.702 * x)),
}
for mode, function in GELU.items():
    case(
        f"gelu {mode}",
        lambda mb, v, mode=mode: mb.gelu(x=v.s, mode=mode),
        lambda f=function: f(S.astype(np.float64)),
    )


def softmax(x: Array, axis: int) -> Array:
    shifted = np.exp(x - x.max(axis=axis, keepdims=True))
    return shifted / shifted.sum(axis=axis, keepdims=True)


for axis in (-1, 1):
    case(
        f"softmax {axis}",
        lambda mb, v, axis=axis: mb.softmax(x=v.s, axis=axis),
        lambda axis=axis: softmax(S, axis),
    )

# ---- convolution and pooling


def convolved(
    x: Array, w: Array, pads: Any, strides: Any, dilations: Any = (1, 1), groups: int = 1
) -> Array:
    """By definition, one output pixel after the other."""
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pads])
    taps = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    rows, columns = (
        (size - t) // s + 1 for size, t, s in zip(x.shape[2:], taps, strides, strict=True)
    )
    out = np.zeros((x.shape[0], w.shape[0], rows, columns))
    size_in, size_out = x.shape[1] // groups, w.shape[0] // groups
    for g in range(groups):
        source = x[:, g * size_in : (g + 1) * size_in]
        for r in range(rows):
            for c in range(columns):
                window = source[
                    :,
                    :,
                    r * strides[0] : r * strides[0] + taps[0] : dilations[0],
                    c * strides[1] : c * strides[1] + taps[1] : dilations[1],
                ]
                part = slice(g * size_out, (g + 1) * size_out)
                out[:, part, r, c] = np.einsum("nihw,oihw->no", window, w[part])
    return out


def biased(y: Array) -> Array:
    return y + BIAS.reshape(4, 1, 1)


def conv(**options: Any) -> Any:
    return lambda mb, v: mb.conv(x=v.x, weight=WEIGHT, bias=BIAS, **options)


case("conv valid", conv(), lambda: biased(convolved(X, WEIGHT, [(0, 0), (0, 0)], (1, 1))))
case(
    "conv custom pad",
    conv(pad_type="custom", pad=[1, 2, 0, 1], strides=[2, 1]),
    lambda: biased(convolved(X, WEIGHT, [(1, 2), (0, 1)], (2, 1))),
)
case(
    "conv same",  # 8 -> 4 needs (0, 1); 6 -> 3 none
    conv(pad_type="same", strides=[2, 2]),
    lambda: biased(convolved(X, WEIGHT, [(0, 1), (0, 0)], (2, 2))),
)
case(
    "conv same_lower",
    conv(pad_type="same_lower", strides=[2, 1]),
    lambda: biased(convolved(X, WEIGHT, [(1, 0), (1, 0)], (2, 1))),
    16,
)
case(
    "conv dilated",
    conv(pad_type="same", dilations=[3, 2]),
    lambda: biased(convolved(X, WEIGHT, [(3, 3), (1, 1)], (1, 1), (3, 2))),
)
case(
    "conv depthwise, multiplier 2",
    lambda mb, v: mb.conv(x=v.x, weight=DEPTHWISE, groups=3, pad_type="valid"),
    lambda: convolved(X, DEPTHWISE, [(0, 0), (0, 0)], (1, 1), groups=3),
)
case(
    "conv 1d",
    lambda mb, v: mb.conv(x=v.s, weight=WEIGHT[:, :, :, 0].repeat(4, 1)[:, :4], pad_type="valid"),
    lambda: convolved(
        S[:, :, :, None], WEIGHT[:, :, :, :1].repeat(4, 1)[:, :4], [(0, 0), (0, 0)], (1, 1)
    )[..., 0],
)


def scattered(x: Array, w: Array, strides: Any, dilations: Any = (1, 1)) -> Array:
    """The full transposed convolution: each input pixel adds its multiple of the kernel."""
    taps = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    rows, columns = (
        (size - 1) * s + t for size, s, t in zip(x.shape[2:], strides, taps, strict=True)
    )
    out = np.zeros((x.shape[0], w.shape[1], rows, columns))
    for r in range(x.shape[2]):
        for c in range(x.shape[3]):
            out[
                :,
                :,
                r * strides[0] : r * strides[0] + taps[0] : dilations[0],
                c * strides[1] : c * strides[1] + taps[1] : dilations[1],
            ] += np.einsum("ni,iohw->nohw", x[:, :, r, c], w)
    return out


def conv_transpose(**options: Any) -> Any:
    return lambda mb, v: mb.conv_transpose(x=v.x, weight=BACKWARD, **options)


case("conv_transpose valid", conv_transpose(strides=[2, 1]), lambda: scattered(X, BACKWARD, (2, 1)))
case(
    "conv_transpose custom",
    conv_transpose(strides=[2, 2], pad_type="custom", pad=[1, 0, 0, 1]),
    lambda: scattered(X, BACKWARD, (2, 2))[:, :, 1:, :-1],
)
case(
    "conv_transpose same",  # 17 -> 16, cut at the end; 12 -> 12
    conv_transpose(strides=[2, 2], pad_type="same"),
    lambda: scattered(X, BACKWARD, (2, 2))[:, :, :-1],
)
case(
    "conv_transpose with bias, to a given shape",
    conv_transpose(
        strides=[2, 2], pad_type="same", output_shape=[2, 5, 16, 12], bias=np.arange(5, dtype="f")
    ),
    lambda: (
        scattered(X, BACKWARD, (2, 2))[:, :, :-1]
        + np.arange(5, dtype=np.float32).reshape(1, 5, 1, 1)
    ),
)
case(
    "conv_transpose dilated",
    conv_transpose(dilations=[2, 3]),
    lambda: scattered(X, BACKWARD, (1, 1), (2, 3)),
)


def windows(x: Array, fill: float, kernel: Any, strides: Any, pads: Any) -> Array:
    padded = np.pad(x, [(0, 0), (0, 0), *pads], constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))
    return view[:, :, :: strides[0], :: strides[1]]


case(
    "max_pool",
    lambda mb, v: mb.max_pool(x=v.x, kernel_sizes=[3, 2], strides=[2, 2], pad_type="valid"),
    lambda: windows(X, 0, (3, 2), (2, 2), [(0, 0), (0, 0)]).max((-1, -2)),
)
case(
    "max_pool same, all negative",
    lambda mb, v: mb.max_pool(
        x=mb.sub(x=v.x, y=9.0), kernel_sizes=[3, 3], strides=[2, 2], pad_type="same"
    ),
    lambda: windows(X - 9, -np.inf, (3, 3), (2, 2), [(0, 1), (0, 1)]).max((-1, -2)),
)
case(
    "max_pool ceil_mode",  # 8 -> ceil(5 / 2) + 1 = 4: the last window overhangs by one
    lambda mb, v: mb.max_pool(
        x=v.x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="valid", ceil_mode=True
    ),
    lambda: windows(X, -np.inf, (3, 3), (2, 2), [(0, 1), (0, 1)]).max((-1, -2)),
)
for excluded in (False, True):
    case(
        f"avg_pool, padding {'excluded' if excluded else 'counted'}",
        lambda mb, v, e=excluded: mb.avg_pool(
            x=v.x, kernel_sizes=[3, 3], strides=[2, 1], pad_type="custom", pad=[1, 1, 1, 0],
            exclude_padding_from_average=e,
        ),
        lambda e=excluded: (
            windows(X, 0, (3, 3), (2, 1), [(1, 1), (1, 0)]).sum((-1, -2))
            / (
                windows(np.ones_like(X), 0, (3, 3), (2, 1), [(1, 1), (1, 0)]).sum((-1, -2))
                if e
                else 9
            )
        ),
    )  # fmt: skip
case(
    "avg_pool ceil_mode",  # what overhangs is not counted, the padding is
    lambda mb, v: mb.avg_pool(
        x=v.x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="custom", pad=[0, 0, 1, 1],
        ceil_mode=True,
    ),
    lambda: (
        windows(X, 0, (3, 3), (2, 2), [(0, 1), (1, 2)]).sum((-1, -2))
        / windows(
            np.pad(np.ones_like(X), [(0, 0), (0, 0), (0, 0), (1, 1)], constant_values=1),
            0, (3, 3), (2, 2), [(0, 1), (0, 1)],
        ).sum((-1, -2))
    ),
)  # fmt: skip
case(
    "l2_pool",
    lambda mb, v: mb.l2_pool(x=v.x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid"),
    lambda: np.sqrt((windows(X, 0, (2, 2), (2, 2), [(0, 0), (0, 0)]) ** 2).sum((-1, -2))),
)

# ---- linear

case(
    "linear",
    lambda mb, v: mb.linear(x=v.s, weight=X[0, 0, :, :5], bias=X[0, 1, :, 0]),
    lambda: S @ X[0, 0, :, :5].T + X[0, 1, :, 0],
)
case(
    "matmul transposed",
    lambda mb, v: mb.matmul(x=v.x, y=v.y, transpose_x=True),
    lambda: X.swapaxes(-1, -2) @ Y,
)
case(
    "matmul transposed constant",
    lambda mb, v: mb.matmul(x=v.x, y=Y[0], transpose_y=True),
    lambda: X @ Y[0].swapaxes(-1, -2),
)
case(
    "einsum",
    lambda mb, v: mb.einsum(
        values=(v.x, mb.transpose(x=v.y, perm=[0, 3, 2, 1])), equation="nchw,nwhr->nchr"
    ),
    lambda: np.einsum("nchw,nwhr->nchr", X, Y.transpose(0, 3, 2, 1)),
)


def attended(mask: Array | None) -> Array:
    scores = X @ Y.swapaxes(-1, -2) / math.sqrt(6)
    if mask is not None:
        scores = scores + mask if mask.dtype != bool else np.where(mask, scores, -np.inf)
    return softmax(scores, -1) @ Y


CAUSAL = np.tril(np.ones((8, 8), bool))
for label, mask in {"": None, " bool mask": CAUSAL, " float mask": normal(8, 8)}.items():
    case(
        "scaled_dot_product_attention" + label,
        lambda mb, v, m=mask: mb.scaled_dot_product_attention(
            query=v.x, key=v.y, value=v.y, **({} if m is None else {"attn_mask": m})
        ),
        lambda m=mask: attended(m),
        18,
    )

# ---- normalization

case(
    "batch_norm",
    lambda mb, v: mb.batch_norm(
        x=v.x, **{k: CHANNEL[k] for k in ("mean", "variance", "gamma", "beta")}, epsilon=0.01
    ),
    lambda: (
        (X - per_channel("mean")) / np.sqrt(per_channel("variance") + 0.01) * per_channel("gamma")
        + per_channel("beta")
    ),
)


def normalized(x: Array, axes: Any, epsilon: float) -> Array:
    x = x.astype(np.float64)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


case(
    "instance_norm",
    lambda mb, v: mb.instance_norm(
        x=v.x, gamma=CHANNEL["gamma"], beta=CHANNEL["beta"], epsilon=0.01
    ),
    lambda: normalized(X, (2, 3), 0.01) * per_channel("gamma") + per_channel("beta"),
)
case(
    "layer_norm",
    lambda mb, v: mb.layer_norm(x=v.x, axes=[-1], gamma=X[0, 0, 0], beta=X[0, 0, 1], epsilon=1e-3),
    lambda: normalized(X, (3,), 1e-3) * X[0, 0, 0] + X[0, 0, 1],
)
case(
    "layer_norm far from zero",
    lambda mb, v: mb.layer_norm(x=mb.add(x=v.x, y=3000.0), axes=[2, 3]),
    lambda: normalized((X + 3000).astype(np.float32), (2, 3), 1e-5),
    tolerance=2e-4,  # float32's step at 3000; E[x²] - E[x]² would be wrong by 0.5
)
case(
    "layer_norm on other axes",
    lambda mb, v: mb.layer_norm(x=v.x, axes=[1, 3], gamma=X[0, :, 0], beta=X[0, :, 1]),
    lambda: normalized(X, (1, 3), 1e-5) * X[0, :, None, 0] + X[0, :, None, 1],
)
case(
    "l2_norm",
    lambda mb, v: mb.l2_norm(x=v.x, epsilon=0.1),
    lambda: X / np.sqrt((X**2).sum((1, 2, 3), keepdims=True) + 0.1),
)


def lrn(x: Array) -> Array:
    padded = np.pad(x**2, [(0, 0), (1, 1), (0, 0), (0, 0)])
    sums = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return x / (2 + 0.3 / 3 * sums) ** 0.6


case(
    "local_response_norm",
    lambda mb, v: mb.local_response_norm(x=v.x, size=3, alpha=0.3, beta=0.6, k=2.0),
    lambda: lrn(X),
)

# ---- reduction

REDUCTIONS = {
    "reduce_mean": np.mean, "reduce_sum": np.sum, "reduce_max": np.max, "reduce_min": np.min,
    "reduce_prod": np.prod,
    "reduce_l1_norm": lambda x, **k: np.abs(x).sum(**k),
    "reduce_l2_norm": lambda x, **k: np.sqrt((x**2).sum(**k)),
    "reduce_sum_square": lambda x, **k: (x**2).sum(**k),
    "reduce_log_sum": lambda x, **k: np.log(x.sum(**k)),
    "reduce_log_sum_exp": lambda x, **k: np.log(np.exp(x).sum(**k)),
}  # fmt: skip
for kind, function in REDUCTIONS.items():
    case(
        kind,
        lambda mb, v, kind=kind: getattr(mb, kind)(x=v.p, axes=[-1], keep_dims=True),
        lambda f=function: f(P, axis=-1, keepdims=True),
    )
    case(
        f"{kind} of all",
        lambda mb, v, kind=kind: getattr(mb, kind)(x=v.p, keep_dims=False),
        lambda f=function: f(P, axis=None),
    )
for kind, function in {"reduce_argmax": np.argmax, "reduce_argmin": np.argmin}.items():
    case(
        kind,
        lambda mb, v, kind=kind: getattr(mb, kind)(x=v.s, axis=1, keep_dims=False),
        lambda f=function: f(S, axis=1),
    )
    case(
        f"{kind} as int32",
        lambda mb, v, kind=kind: getattr(mb, kind)(x=v.s, axis=2, output_dtype="int32"),
        lambda f=function: f(S, axis=2),
        17,
    )

# ---- places in a picture


def looked_up(picture: Array, places: Array, nearest: bool, at: Callable[[int, int], int]) -> Array:
    """[c, h, w] at places [..., (x, y)]: `at` turns an index and a size into an index, or -1 for zero."""
    result = np.zeros((picture.shape[0], *places.shape[:-1]))
    height, width = picture.shape[1:]
    for spot in np.ndindex(*places.shape[:-1]):
        x, y = places[spot]
        if nearest:
            x, y = np.round(x), np.round(y)
        left, top = math.floor(x), math.floor(y)
        for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
            share = (1 - abs(x - column)) * (1 - abs(y - row))
            c, r = at(column, width), at(row, height)
            if c >= 0 and r >= 0:
                result[(slice(None), *spot)] += share * picture[:, r, c]
    return result


OUTSIDE: dict[str, Callable[[int, int], int]] = {
    "constant": lambda i, n: i if 0 <= i < n else -1,
    "border": lambda i, n: min(max(i, 0), n - 1),
    "reflection": lambda i, n: min(i % (2 * n - 2), -i % (2 * n - 2)),
    "symmetric": lambda i, n: min(i % (2 * n), (-1 - i) % (2 * n)),
}
PLACES = rng.uniform(-1.6, 1.7, (2, 4, 5, 2)).astype(np.float32)
UNITS: dict[str, Callable[[Array, bool], Array]] = {
    "unnormalized": lambda p, corners: p,
    "normalized_minus_one_to_one": lambda p, corners: pixels((p + 1) / 2, corners),
    "normalized_zero_to_one": lambda p, corners: pixels(p, corners),
}


def pixels(share: Array, corners: bool) -> Array:
    size = np.array([6.0, 8.0])  # width and height of X
    return share * (size - 1) if corners else share * size - 0.5


for number, (padding, unit, sampling, corners) in enumerate(
    [
        ("constant", "normalized_minus_one_to_one", "bilinear", True),
        ("constant", "normalized_zero_to_one", "nearest", False),
        ("border", "unnormalized", "bilinear", False),
        ("reflection", "normalized_zero_to_one", "bilinear", False),
        ("symmetric", "normalized_minus_one_to_one", "bilinear", True),
        ("reflection", "unnormalized", "nearest", True),
        ("symmetric", "normalized_zero_to_one", "nearest", False),
    ]
):
    far = PLACES.astype(np.float64) * (5 if unit == "unnormalized" else 1)
    case(
        f"resample {padding} {unit} {sampling}",
        lambda mb, v, far=far, given=(padding, unit, sampling, corners): mb.resample(
            x=v.x, coordinates=far.astype(np.float32), sampling_mode=given[2],
            padding_mode=given[0], padding_value=np.float32(2.5 if given[0] == "constant" else 0),
            coordinates_mode=given[1], align_corners=given[3],
        ),
        lambda far=far, given=(padding, unit, sampling, corners): np.stack(
            [
                looked_up(
                    one - (2.5 if given[0] == "constant" else 0),
                    UNITS[given[1]](where, given[3]), given[2] == "nearest", OUTSIDE[given[0]],
                ) + (2.5 if given[0] == "constant" else 0)
                for one, where in zip(X, far, strict=True)
            ]
        ),
        16 if number % 2 else 15,
        tolerance=2e-5,  # places are rounded too
    )  # fmt: skip
TURN = np.array([[0.8, -0.6, 0.1, 0.6, 0.8, -0.2], [1, 0.5, 0, 0, -1, 0.3]], np.float32)


def turned() -> Array:
    y, x = np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 7), indexing="ij")
    grid = np.stack([x, y, np.ones_like(x)], -1)
    return np.stack(
        [
            looked_up(
                one, pixels((grid @ m.reshape(2, 3).T + 1) / 2, True), False, OUTSIDE["constant"]
            )
            for one, m in zip(X, TURN.astype(np.float64), strict=True)
        ]
    )


case(
    "affine",
    lambda mb, v: mb.affine(
        x=v.x, transform_matrix=TURN, output_height=4, output_width=7, sampling_mode="bilinear",
        padding_mode="constant", padding_value=np.float32(0),
        coordinates_mode="normalized_minus_one_to_one", align_corners=True,
    ),
    turned,
    tolerance=2e-5,
)  # fmt: skip
BOXES = np.array([[0.1, 0.2, 0.9, 0.7], [0.8, -0.3, 0.3, 1.1], [0.0, 0.0, 1.0, 1.0]], np.float32)


def cropped(boxes: Array, picture: Sequence[int], size: tuple[int, int], pad: float) -> Array:
    """Boxes [n, (y, x, y, x)] in pixels, corners aligned."""
    results = []
    for (top, left, bottom, right), index in zip(boxes.astype(np.float64), picture, strict=True):
        y, x = np.meshgrid(
            np.linspace(top, bottom, size[0]), np.linspace(left, right, size[1]), indexing="ij"
        )
        found = looked_up(X[index], np.stack([x, y], -1), False, OUTSIDE["border"])
        inside = (x >= 0) & (x <= 5) & (y >= 0) & (y <= 7)
        results.append(np.where(inside, found, pad))
    return np.stack(results)


CORNERS = BOXES * np.array([7, 5, 7, 5], np.float32)
ROI = np.pad(BOXES, ((0, 0), (1, 0))).reshape(3, 1, 5, 1, 1)
case(
    "crop_resize",
    lambda mb, v: mb.crop_resize(
        x=mb.slice_by_index(x=v.x, begin=[0, 0, 0, 0], end=[1, 3, 8, 6]), roi=ROI,
        target_height=3, target_width=4, normalized_coordinates=True,
        sampling_mode="ALIGN_CORNERS",
    ),
    lambda: cropped(CORNERS, (0, 0, 0), (3, 4), 0)[:, None],
    tolerance=2e-5,
)  # fmt: skip
case(
    "crop_resize of one picture, centre and size, to one pixel",
    lambda mb, v: mb.crop_resize(
        x=mb.slice_by_index(x=v.x, begin=[1, 0, 0, 0], end=[2, 3, 8, 6]),
        roi=np.array([[2.5, 3.5, 3, 2]], np.float32).reshape(1, 1, 4, 1, 1), spatial_scale=0.5,
        box_coordinate_mode="CENTER_SIZE_WIDTH_FIRST", sampling_mode="ALIGN_CORNERS",
        pad_value=np.float32(9),
    ),
    lambda: cropped(np.array([[1.75, 1.25, 1.75, 1.25]]), (1,), (1, 1), 9)[:, None],
    16,
    tolerance=2e-5,
)  # fmt: skip
case(
    "crop_resize of pictures by index",
    lambda mb, v: mb.crop_resize(
        x=v.x, boxes=CORNERS, box_indices=np.array([1, 1, 0], np.int32), target_height=2,
        target_width=5, sampling_mode="STRICT_ALIGN_CORNERS", pad_value=np.float32(-3),
    ),
    lambda: cropped(CORNERS, (1, 1, 0), (2, 5), -3),
    17,
    tolerance=2e-5,
)  # fmt: skip
CANDIDATES = np.concatenate([rng.uniform(0, 40, (1, 9, 2)), rng.uniform(8, 20, (1, 9, 2))], -1)
CANDIDATES = CANDIDATES.astype(np.float32)  # centre and size, width first
SCORES = rng.permutation(27).reshape(1, 9, 3).astype(np.float32)


def survivors(iou: float, least: float, most: int, by_class: bool) -> tuple[Array, ...]:
    """Boxes, scores, indices and their count, padded to `most`."""
    half = CANDIDATES[0, :, 2:] / 2
    low, high = CANDIDATES[0, :, :2] - half, CANDIDATES[0, :, :2] + half
    best, kind = SCORES[0].max(-1), SCORES[0].argmax(-1)
    kept: list[int] = []
    for i in np.argsort(-best):
        sides = np.minimum(high[i], high[kept]) - np.maximum(low[i], low[kept])
        both = np.prod(np.maximum(sides, 0), -1)
        area = np.prod(high - low, -1)
        overlaps = both / (area[i] + area[kept] - both) > iou
        rivals = (kind[kept] == kind[i]) if by_class else np.full(len(kept), True)
        if best[i] > least and not (overlaps & rivals).any():
            kept.append(int(i))
    kept = (kept or [int(best.argmax())])[:most]
    rest = most - len(kept)
    return (
        np.pad(CANDIDATES[0, kept], ((0, rest), (0, 0)))[None],
        np.pad(SCORES[0, kept], ((0, rest), (0, 0)))[None],
        np.pad(np.array(kept), (0, rest), constant_values=-1)[None],
        np.array([len(kept)]),
    )


for label, arguments in {
    "": (0.2, 12.0, 6, False),
    ", class by class": (0.1, 9.0, 8, True),
    ", fewer than there are": (0.9, 0.0, 3, True),
    ", none good enough": (0.5, 99.0, 2, False),
}.items():
    for place in range(4):
        case(
            f"non_maximum_suppression{label}: result {place}",
            lambda mb, v, a=arguments, place=place: mb.non_maximum_suppression(
                boxes=mb.add(x=CANDIDATES, y=mb.mul(x=mb.reduce_sum(x=v.x), y=0.0)), scores=SCORES,
                iou_threshold=np.float32(a[0]), score_threshold=np.float32(a[1]), max_boxes=a[2],
                per_class_suppression=a[3],
            )[place],
            lambda a=arguments, place=place: survivors(*a)[place],
        )  # fmt: skip
for place in range(3):
    case(
        f"non_maximum_suppression, boxes last: result {place}",
        lambda mb, v, place=place: mb.non_maximum_suppression(
            boxes=CANDIDATES.transpose(0, 2, 1), scores=SCORES.transpose(0, 2, 1),
            iou_threshold=np.float32(0.1), max_boxes=4, per_class_suppression=True,
        )[place],
        lambda place=place: (
            survivors(0.1, -1.0, 4, True)[place].transpose(0, 2, 1)
            if place < 2
            else survivors(0.1, -1.0, 4, True)[place]
        ),
        17,
    )  # fmt: skip

# ---- tensors

case(
    "concat",
    lambda mb, v: mb.concat(values=(v.x, v.y), axis=-2),
    lambda: np.concatenate([X, Y], -2),
)
case(
    "concat interleaved",
    lambda mb, v: mb.concat(values=(v.x, v.y), axis=1, interleave=True),
    lambda: np.stack([X, Y], 2).reshape(2, 6, 8, 6),
)
case("stack", lambda mb, v: mb.stack(values=(v.x, v.y), axis=-1), lambda: np.stack([X, Y], -1))
case(
    "split",
    lambda mb, v: mb.split(x=v.x, num_splits=3, axis=-1)[1],
    lambda: np.split(X, 3, -1)[1],
)
case(
    "split in sizes",
    lambda mb, v: mb.split(x=v.x, split_sizes=[1, 5, 2], axis=2)[1],
    lambda: X[:, :, 1:6],
)
case("tile", lambda mb, v: mb.tile(x=v.s, reps=[1, 2, 3]), lambda: np.tile(S, (1, 2, 3)))
for mode, name in {"constant": "constant", "reflect": "reflect", "replicate": "edge"}.items():
    case(
        f"pad {mode}",
        lambda mb, v, mode=mode: mb.pad(
            x=v.x,
            pad=[1, 2, 3, 0],
            mode=mode,
            **({"constant_val": 0.5} if mode == "constant" else {}),
        ),
        lambda name=name: np.pad(
            X,
            [(0, 0), (0, 0), (1, 2), (3, 0)],
            mode=name,
            **({"constant_values": 0.5} if name == "constant" else {}),
        ),
    )
case("fill", lambda mb, v: mb.fill(shape=mb.shape(x=v.s), value=0.5), lambda: np.full(S.shape, 0.5))
case(
    "fill_like",
    lambda mb, v: mb.fill_like(ref_tensor=v.i, value=3),
    lambda: np.full(I.shape, 3),
    16,
)
case(
    "range_1d",
    lambda mb, v: mb.range_1d(start=1, end=mb.reduce_max(x=v.at), step=1),
    lambda: np.arange(1, 2),
)
case(
    "one_hot",
    lambda mb, v: mb.one_hot(indices=v.i, one_hot_vector_size=4, on_value=2.0, off_value=-1.0),
    lambda: np.where(I[..., None] == np.arange(4), 2.0, -1.0),
)
case(
    "one_hot in front",
    lambda mb, v: mb.one_hot(indices=v.at, one_hot_vector_size=3, axis=0),
    lambda: (np.arange(3)[:, None] == AT).astype(np.int32),
)
case("non_zero", lambda mb, v: mb.non_zero(x=v.i), lambda: np.argwhere(I))
for exclusive in (False, True):
    for backward in (False, True):

        def summed(exclusive: bool = exclusive, backward: bool = backward) -> Array:
            x = S[:, ::-1] if backward else S
            total = np.cumsum(x, 1) - (x if exclusive else 0)
            return total[:, ::-1] if backward else total

        case(
            f"cumsum {exclusive=} {backward=}",
            lambda mb, v, e=exclusive, b=backward: mb.cumsum(x=v.s, axis=1, exclusive=e, reverse=b),
            summed,
        )
case(
    "band_part",
    lambda mb, v: mb.band_part(x=v.x, lower=1, upper=2),
    lambda: np.triu(np.tril(X, 2), -1),
)
case("argsort", lambda mb, v: mb.argsort(x=v.s, axis=1), lambda: np.argsort(-S, 1))
case(
    "argsort ascending",
    lambda mb, v: mb.argsort(x=v.s, axis=-1, ascending=True),
    lambda: np.argsort(S, -1),
)
case("topk", lambda mb, v: mb.topk(x=v.s, k=2, axis=1)[0], lambda: -np.sort(-S, 1)[:, :2])
case(
    "topk indices, ascending",
    lambda mb, v: mb.topk(x=v.s, k=2, axis=2, ascending=True)[1],
    lambda: np.argsort(S, 2)[:, :, :2],
)
case(
    "topk, uint16",
    lambda mb, v: mb.cast(
        x=mb.topk(x=v.s, k=5, axis=2, output_indices_dtype="uint16")[1], dtype="int32"
    ),
    lambda: np.argsort(-S, 2),
    17,
)
case("flatten2d", lambda mb, v: mb.flatten2d(x=v.x, axis=2), lambda: X.reshape(6, 48))
case("flatten2d from behind", lambda mb, v: mb.flatten2d(x=v.x, axis=-1), lambda: X.reshape(48, 6))
case("shape", lambda mb, v: mb.shape(x=v.x), lambda: np.array(X.shape))
case(
    "transpose",
    lambda mb, v: mb.transpose(x=v.x, perm=[0, -1, 1, 2]),
    lambda: X.transpose(0, 3, 1, 2),
)
case("reshape", lambda mb, v: mb.reshape(x=v.x, shape=[0, -1, 4, 6]), lambda: X.reshape(2, 6, 4, 6))
case(
    "reshape, zeros count from the back",
    lambda mb, v: mb.reshape(x=v.s, shape=[1, 0, -1, 0]),
    lambda: S.reshape(1, 3, 4, 5),
    17,
)
case(
    "reshape to a computed shape",
    lambda mb, v: mb.reshape(x=v.s, shape=mb.mul(x=mb.shape(x=v.p), y=[3, 1])),
    lambda: S.reshape(12, 5),
)
case(
    "reshape_like",
    lambda mb, v: mb.reshape_like(
        x=v.s, ref_tensors=(v.s, v.p), begins=(0, 0), ends=(1, 2), end_masks=(False, True)
    ),
    lambda: S,
    16,
)
case(
    "expand_dims",
    lambda mb, v: mb.expand_dims(x=v.s, axes=[0, -1]),
    lambda: S[None, ..., None],
)
case(
    "squeeze leaves what is not one",
    lambda mb, v: mb.squeeze(x=mb.expand_dims(x=v.s, axes=[0]), axes=[0, 1]),
    lambda: S,
)
case("reverse", lambda mb, v: mb.reverse(x=v.s, axes=[0, -1]), lambda: S[::-1, :, ::-1])
case("reverse all", lambda mb, v: mb.reverse(x=v.s), lambda: S[::-1, ::-1, ::-1])


def partly_reversed() -> Array:
    out = S.copy()
    for row, length in enumerate((2, 5, 0)):
        out[row, :, :length] = S[row, :, :length][:, ::-1]
    return out


case(
    "reverse_sequence",
    lambda mb, v: mb.reverse_sequence(x=v.s, lengths=[2, 5, 0], seq_axis=2, batch_axis=0),
    partly_reversed,
)


def sliced(**options: Any) -> Any:
    return lambda mb, v: mb.slice_by_index(x=v.x, **options)


case(
    "slice",
    sliced(begin=[0, 1, 1, 0], end=[2, 3, 7, 6], stride=[1, 1, 2, 1]),
    lambda: X[:, 1:3, 1:7:2],
)
case(
    "slice from behind",
    sliced(begin=[0, -2, 0, -1], end=[2, 3, -1, 0], stride=[1, 1, 1, -1],
           begin_mask=[True, False, False, False], end_mask=[True, True, False, True]),
    lambda: X[:, -2:, :-1, ::-1],
)  # fmt: skip
case(
    "slice squeezed",
    sliced(begin=[1, -1, 0, 0], end=[0, 0, 8, 0], squeeze_mask=[True, True, False, False],
           end_mask=[False, False, False, True]),
    lambda: X[1, -1],
)  # fmt: skip
case(
    "slice at computed places",
    lambda mb, v: mb.slice_by_index(
        x=v.x, begin=mb.sub(x=v.at, y=[1, 1, 0, 0]), end=mb.add(x=v.at, y=[0, 9, 3, 2]),
        begin_mask=[False, True, False, False], end_mask=[False, False, False, True],
        squeeze_mask=[True, False, False, False],
    ),
    lambda: X[1, :9, 1:4, 2:],
)  # fmt: skip
case(
    "slice_by_size",
    lambda mb, v: mb.slice_by_size(x=v.s, begin=[0, -3, 1], size=[-1, 3, 2]),
    lambda: S[:, -3:, 1:3],
)
case(
    "slice_by_size at computed places",
    lambda mb, v: mb.slice_by_size(
        x=v.s, begin=mb.sub(x=mb.slice_by_index(x=v.at, begin=[0], end=[3]), y=[2, 3, 0]),
        size=[2, 3, -1],
    ),
    lambda: S[:2, -3:, 1:],
)  # fmt: skip


def updated() -> Array:
    out = X.copy()
    out[:, 1, 1:7:2] = Y[:, 0, :3]
    return out


case(
    "slice_update",
    lambda mb, v: mb.slice_update(
        x=v.x, update=mb.slice_by_index(x=v.y, begin=[0, 0, 0, 0], end=[2, 1, 3, 6],
                                        squeeze_mask=[False, True, False, False]),
        begin=[0, 1, 1, 0], end=[2, 2, 7, 6], stride=[1, 1, 2, 1],
        squeeze_mask=[False, True, False, False],
    ),
    updated,
    18,
)  # fmt: skip
case(
    "slice_update from the first to the last",
    lambda mb, v: mb.slice_update(
        x=v.x, update=v.y, begin=[1, 1, 1, 1], end=[1, 1, 1, 1],
        begin_mask=[True] * 4, end_mask=[True] * 4,
    ),
    lambda: Y,
    18,
)  # fmt: skip
D2S = X.reshape(1, 4, 12, 6)
case(
    "depth_to_space",
    lambda mb, v: mb.depth_to_space(x=mb.reshape(x=v.x, shape=[1, 4, 12, 6]), block_size=2),
    lambda: D2S.reshape(1, 2, 2, 1, 12, 6).transpose(0, 3, 4, 1, 5, 2).reshape(1, 1, 24, 12),
)
case(
    "space_to_depth",
    lambda mb, v: mb.space_to_depth(x=v.x, block_size=2),
    lambda: X.reshape(2, 3, 4, 2, 3, 2).transpose(0, 3, 5, 1, 2, 4).reshape(2, 12, 4, 3),
)
SHUFFLE = X.reshape(1, 8, 6, 6)
case(
    "pixel_shuffle",
    lambda mb, v: mb.pixel_shuffle(x=mb.reshape(x=v.x, shape=[1, 8, 6, 6]), upscale_factor=2),
    lambda: SHUFFLE.reshape(1, 2, 2, 2, 6, 6).transpose(0, 1, 4, 2, 5, 3).reshape(1, 2, 12, 12),
)
case(
    "pixel_unshuffle",
    lambda mb, v: mb.pixel_unshuffle(x=v.x, downscale_factor=np.uint32(2)),
    lambda: X.reshape(2, 3, 4, 2, 3, 2).transpose(0, 1, 3, 5, 2, 4).reshape(2, 12, 4, 3),
    16,
)


def to_batch(x: Array) -> Array:
    x = np.pad(x, [(0, 0), (0, 0), (1, 1), (0, 0)])
    return np.concatenate([x[:, :, i::2, j::3] for i in range(2) for j in range(3)])


case(
    "space_to_batch",
    lambda mb, v: mb.space_to_batch(x=v.x, block_shape=[2, 3], paddings=[[1, 1], [0, 0]]),
    lambda: to_batch(X),
)
case(
    "batch_to_space",
    lambda mb, v: mb.batch_to_space(
        x=mb.space_to_batch(x=v.x, block_shape=[2, 3], paddings=[[1, 1], [0, 0]]),
        block_shape=[2, 3], crops=[[1, 1], [0, 0]],
    ),
    lambda: X,
)  # fmt: skip
case(
    "sliding_windows",
    lambda mb, v: mb.sliding_windows(x=v.x, axis=2, size=3, stride=2),
    lambda: np.stack([X[:, :, i : i + 3] for i in (0, 2, 4)], 2),
)

# ---- gather and scatter

case("gather", lambda mb, v: mb.gather(x=v.x, indices=v.at, axis=1), lambda: X[:, AT])
case("gather one", lambda mb, v: mb.gather(x=v.x, indices=2, axis=1), lambda: X[:, 2])
BATCHED = np.array([[0, 2], [1, 1]], np.int32)
for axis in (1, 2, 3):
    case(
        f"gather per batch, axis {axis}",
        lambda mb, v, axis=axis: mb.gather(x=v.x, indices=BATCHED, axis=axis, batch_dims=1),
        lambda axis=axis: np.stack([np.take(X[b], BATCHED[b], axis - 1) for b in range(2)]),
        16,
    )
ALONG = rng.integers(0, 4, (3, 2, 5)).astype(np.int32)
case(
    "gather_along_axis",
    lambda mb, v: mb.gather_along_axis(x=v.s, indices=ALONG, axis=1),
    lambda: np.take_along_axis(S, ALONG, 1),
)
PLACES = np.array([[0, 1], [2, 3]], np.int32)
case("gather_nd", lambda mb, v: mb.gather_nd(x=v.s, indices=PLACES), lambda: S[[0, 2], [1, 3]])
case(
    "gather_nd per batch",
    lambda mb, v: mb.gather_nd(x=v.x, indices=PLACES[:, None], batch_dims=1),
    lambda: np.stack([X[0, 0, 1], X[1, 2, 3]])[:, None],
    16,
)
SCATTER = {"update": None, "add": np.add, "sub": np.subtract, "mul": np.multiply,
           "max": np.maximum, "min": np.minimum}  # fmt: skip
for mode, function in SCATTER.items():

    def scattered_at(mode: str = mode, function: Any = function, along: bool = False) -> Array:
        out = S.copy()
        for place, at in enumerate((2, 0)):
            new = S[:, place] * 2
            out[:, at] = new if function is None else function(out[:, at], new)
        return out

    case(
        f"scatter {mode}",
        lambda mb, v, mode=mode: mb.scatter(
            data=v.s, indices=[2, 0], updates=S[:, :2] * 2, axis=1, mode=mode
        ),
        scattered_at,
    )
    case(
        f"scatter_along_axis {mode}",
        lambda mb, v, mode=mode: mb.scatter_along_axis(
            data=v.s,
            indices=np.broadcast_to(np.array([2, 0], np.int32)[:, None], (3, 2, 5)).copy(),
            updates=S[:, :2] * 2,
            axis=1,
            mode=mode,
        ),
        scattered_at,
    )
case(
    "scatter at a matrix of indices",
    lambda mb, v: mb.scatter(
        data=v.s, indices=np.array([[0], [3]], np.int32), updates=S[:, :2, None], axis=1, mode="add"
    ),
    lambda: S + np.stack([S[:, 0], 0 * S[:, 0], 0 * S[:, 0], S[:, 1]], 1),
)
case(
    "matmul of real and whole numbers",
    lambda mb, v: mb.matmul(x=v.u, y=I, transpose_y=True),
    lambda: U @ I.T,
    17,
)
case(
    "scatter_nd adds up",
    lambda mb, v: mb.scatter_nd(
        data=v.s, indices=np.array([[0, 1], [0, 1]], np.int32), updates=S[1, :2], mode="add"
    ),
    lambda: S + np.where(np.arange(60).reshape(3, 4, 5) // 5 == 1, S[1, 0] + S[1, 1], 0),
)

# ---- resizing


def resized(x: Array, height: Any, width: Any) -> Array:
    for axis, where in ((2, height), (3, width)):
        where = np.clip(np.asarray(where, np.float64), 0, x.shape[axis] - 1)
        low = np.floor(where).astype(int)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        share = (where - low).reshape([-1 if a == axis else 1 for a in range(4)])
        x = np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share
    return x


GRIDS: dict[str, Callable[[int, int], Array]] = {
    "STRICT_ALIGN_CORNERS": lambda a, b: np.arange(b) * (a - 1) / (b - 1),
    "ALIGN_CORNERS": lambda a, b: np.arange(b) * (a - 1) / (b - 1),
    "DEFAULT": lambda a, b: np.arange(b) * a / b,
    "UNALIGN_CORNERS": lambda a, b: (np.arange(b) + 0.5) * a / b - 0.5,
    "OFFSET_CORNERS": lambda a, b: (np.arange(b) + 0.5) * (a - 1) / b,
}
for mode, grid in GRIDS.items():
    case(
        f"resize_bilinear {mode}",
        lambda mb, v, mode=mode: mb.resize_bilinear(
            x=v.x, target_size_height=5, target_size_width=13, sampling_mode=mode
        ),
        lambda g=grid: resized(X, g(8, 5), g(6, 13)),
    )
for aligned in (True, False):
    case(
        f"upsample_bilinear align_corners={aligned}",
        lambda mb, v, a=aligned: mb.upsample_bilinear(
            x=v.x, scale_factor_height=2.0, scale_factor_width=1.3, align_corners=a
        ),
        lambda a=aligned: resized(
            X, *(GRIDS["ALIGN_CORNERS" if a else "UNALIGN_CORNERS"](*s) for s in ((8, 16), (6, 7)))
        ),
    )
case(
    "upsample_bilinear, corners at the edge",
    lambda mb, v: mb.upsample_bilinear(
        x=v.x, scale_factor_height=2, scale_factor_width=3,
        align_corners=False, half_pixel_centers=False,
    ),
    lambda: resized(X, GRIDS["DEFAULT"](8, 16), GRIDS["DEFAULT"](6, 18)),
    16,
)  # fmt: skip
case(
    "upsample_nearest_neighbor",
    lambda mb, v: mb.upsample_nearest_neighbor(x=v.x, scale_factor_height=2, scale_factor_width=3),
    lambda: X.repeat(2, 2).repeat(3, 3),
)
case(
    "resize_nearest_neighbor",
    lambda mb, v: mb.resize_nearest_neighbor(x=v.x, target_size_height=16, target_size_width=3),
    lambda: X.repeat(2, 2)[..., 1::2],  # half pixel centres: ⌊(i + ½) · 2⌋
)
case(
    "resize_nearest_neighbor, half pixel centres",
    lambda mb, v: mb.resize_nearest_neighbor(x=v.x, target_size_height=12, target_size_width=4),
    lambda: X[:, :, [0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7]][..., [0, 2, 3, 5]],
)
case(
    "resize linear",
    lambda mb, v: mb.resize(
        x=v.x, shape=[0, 13], resized_dims=np.uint32(2), sampling_mode="UNALIGN_CORNERS"
    ),
    lambda: resized(X, np.arange(8), GRIDS["UNALIGN_CORNERS"](6, 13)),
    17,
)
for kind in ("LINEAR", "NEAREST_NEIGHBOR"):
    case(
        f"resize to a computed size, {kind}",
        lambda mb, v, kind=kind: mb.resize(
            x=v.x,
            shape=mb.add(x=mb.slice_by_index(x=v.at, begin=[0], end=[2]), y=[10, 4]),
            resized_dims=np.uint32(2),
            interpolation_mode=kind,
        ),
        lambda kind=kind: (
            resized(X, GRIDS["DEFAULT"](8, 12), GRIDS["DEFAULT"](6, 4))
            if kind == "LINEAR"
            else X[:, :, [0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7]][..., [0, 2, 3, 5]]
        ),
        17,
    )
case(
    "crop",
    lambda mb, v: mb.crop(x=v.x, crop_height=[1, 2], crop_width=[0, 3]),
    lambda: X[:, :, 1:-2, :-3],
)

# ---- quantization

SCALE = np.array([0.05, 0.02, 0.1], np.float32)
ZERO = np.array([3, -7, 0], np.int8)


def quantized() -> Array:
    return np.clip(np.round(X / SCALE.reshape(3, 1, 1)) + ZERO.reshape(3, 1, 1), -128, 127)


case(
    "quantize per channel",
    lambda mb, v: mb.cast(
        x=mb.quantize(input=v.x, scale=SCALE, zero_point=ZERO, axis=1, output_dtype="int8"),
        dtype="int32",
    ),
    quantized,
    17,
)
case(
    "dequantize per channel",
    lambda mb, v: mb.dequantize(
        input=mb.quantize(input=v.x, scale=SCALE, zero_point=ZERO, axis=1, output_dtype="int8"),
        scale=SCALE,
        zero_point=ZERO,
        axis=1,
    ),
    lambda: (quantized() - ZERO.reshape(3, 1, 1)) * SCALE.reshape(3, 1, 1),
    17,
)
case(
    "quantize uint8, scalar",
    lambda mb, v: mb.cast(
        x=mb.quantize(input=v.x, scale=0.02, zero_point=np.uint8(128), output_dtype="uint8"),
        dtype="int32",
    ),
    lambda: np.clip(np.round(X / np.float32(0.02)) + 128, 0, 255),
    17,
)

# ---- recurrent

H, F = 3, 5  # hidden units, features of S = [steps 3, batch 4, features 5]
GATES = {
    k: normal(*shape) * 0.5
    for k, shape in {
        "ih": (4 * H, F), "hh": (4 * H, H), "b": (4 * H,), "p": (3 * H,),
        "ih2": (4 * H, F), "hh2": (4 * H, H), "b2": (4 * H,), "h": (4, 2 * H), "c": (4, 2 * H),
    }.items()
}  # fmt: skip


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def lstm(ih: Array, hh: Array, b: Array, h: Array, c: Array, x: Array, p: Array | None = None,
         outer: Any = np.tanh, clip: float = np.inf) -> tuple[Array, Array, Array]:  # fmt: skip
    """MIL's formulas: gates stacked input, forget, output, cell."""
    pi, pf, po = (0, 0, 0) if p is None else np.split(p, 3)
    steps = []
    for step in x:
        i, f, o, z = np.split(step @ ih.T + h @ hh.T + b, 4, -1)
        i, f = sigmoid(i + pi * c), sigmoid(f + pf * c)
        c = np.clip(f * c + i * np.tanh(z), -clip, clip)
        h = sigmoid(o + po * c) * outer(c)
        steps.append(h)
    return np.stack(steps), h, c


ONE = {"initial_h": GATES["h"][:, :H], "initial_c": GATES["c"][:, :H], "weight_ih": GATES["ih"],
       "weight_hh": GATES["hh"], "bias": GATES["b"]}  # fmt: skip
FORWARD = (GATES["ih"], GATES["hh"], GATES["b"], GATES["h"][:, :H], GATES["c"][:, :H])
BEHIND = (GATES["ih2"], GATES["hh2"], GATES["b2"], GATES["h"][:, H:], GATES["c"][:, H:])
case(
    "lstm sequence",
    lambda mb, v: mb.lstm(x=v.s, **ONE, output_sequence=True)[0],
    lambda: lstm(*FORWARD, S)[0],
)
case("lstm last step", lambda mb, v: mb.lstm(x=v.s, **ONE)[0], lambda: lstm(*FORWARD, S)[1][None])
case("lstm cell state", lambda mb, v: mb.lstm(x=v.s, **ONE)[2], lambda: lstm(*FORWARD, S)[2])
case(
    "lstm reversed",
    lambda mb, v: mb.lstm(x=v.s, **ONE, direction="reverse", output_sequence=True)[0],
    lambda: lstm(*FORWARD, S[::-1])[0][::-1],
)
case(
    "lstm peephole",
    lambda mb, v: mb.lstm(x=v.s, **ONE, peephole=GATES["p"], output_sequence=True)[0],
    lambda: lstm(*FORWARD, S, GATES["p"])[0],
)
case(
    "lstm linear output",
    lambda mb, v: mb.lstm(x=v.s, **ONE, activation="linear", output_sequence=True)[0],
    lambda: lstm(*FORWARD, S, outer=lambda c: c)[0],
)
BOTH = {
    **ONE,
    "initial_h": GATES["h"],
    "initial_c": GATES["c"],
    "weight_ih_back": GATES["ih2"],
    "weight_hh_back": GATES["hh2"],
    "bias_back": GATES["b2"],
    "direction": "bidirectional",
}
case(
    "lstm bidirectional",
    lambda mb, v: mb.lstm(x=v.s, **BOTH, output_sequence=True)[0],
    lambda: np.concatenate([lstm(*FORWARD, S)[0], lstm(*BEHIND, S[::-1])[0][::-1]], -1),
)
case(
    "lstm bidirectional state",
    lambda mb, v: mb.lstm(x=v.s, **BOTH)[1],
    lambda: np.concatenate([lstm(*FORWARD, S)[1], lstm(*BEHIND, S[::-1])[1]], -1),
)

case(
    "lstm clipped, bidirectional, peephole",
    lambda mb, v: mb.lstm(
        x=v.s, **BOTH, peephole=GATES["p"], clip=np.float32(0.2), output_sequence=True
    )[0],
    lambda: np.concatenate(
        [
            lstm(*FORWARD, S, GATES["p"], clip=0.2)[0],
            lstm(*BEHIND, S[::-1], clip=0.2)[0][::-1],
        ],
        -1,
    ),
)
case(
    "lstm bidirectional, peepholes",
    lambda mb, v: mb.lstm(
        x=v.s, **BOTH, peephole=GATES["p"], peephole_back=GATES["p"] * 2, output_sequence=True
    )[0],
    lambda: np.concatenate(
        [lstm(*FORWARD, S, GATES["p"])[0], lstm(*BEHIND, S[::-1], GATES["p"] * 2)[0][::-1]], -1
    ),
)
case(
    "lstm clipped, last step",
    lambda mb, v: mb.lstm(x=v.s, **ONE, clip=np.float32(0.2), direction="reverse")[0],
    lambda: lstm(*FORWARD, S[::-1], clip=0.2)[1][None],
)
case(
    "lstm hard sigmoid",
    lambda mb, v: mb.lstm(x=v.s, **ONE, activation="hard_sigmoid", output_sequence=True)[0],
    lambda: lstm(*FORWARD, S, outer=lambda c: np.clip(0.2 * c + 0.5, 0, 1))[0],
)


def gru(bias: float = 1.0, after: bool = False) -> Array:
    h, steps = GATES["h"][:, :H], []
    (ir, io, iz), (hr, ho, hz) = (np.split(GATES[k][: 3 * H], 3) for k in ("ih", "hh"))
    br, bo, bz = np.split(GATES["b"][: 3 * H] * bias, 3)
    for x in S:
        r = sigmoid(x @ ir.T + h @ hr.T + br)
        z = sigmoid(x @ iz.T + h @ hz.T + bz)
        o = np.tanh(x @ io.T + (r * (h @ ho.T) if after else (r * h) @ ho.T) + bo)
        h = (1 - z) * o + z * h
        steps.append(h)
    return np.stack(steps)


case(
    "gru",
    lambda mb, v: mb.gru(
        x=v.s, initial_h=GATES["h"][:, :H], weight_ih=GATES["ih"][: 3 * H],
        weight_hh=GATES["hh"][: 3 * H], bias=GATES["b"][: 3 * H], output_sequence=True,
    )[0],
    gru,
)  # fmt: skip
case(
    "gru that resets after",
    lambda mb, v: mb.gru(
        x=v.s, initial_h=GATES["h"][:, :H], weight_ih=GATES["ih"][: 3 * H],
        weight_hh=GATES["hh"][: 3 * H], reset_after=True, output_sequence=True,
    )[0],
    lambda: gru(bias=0.0, after=True),
    18,
)  # fmt: skip


def rnn() -> Array:
    h, steps = GATES["h"][:, :H], []
    for x in S:
        h = np.maximum(x @ GATES["ih"][:H].T + h @ GATES["hh"][:H].T + GATES["b"][:H], 0)
        steps.append(h)
    return np.stack(steps)


case(
    "rnn",
    lambda mb, v: mb.rnn(
        x=v.s, initial_h=GATES["h"][:, :H], weight_ih=GATES["ih"][:H], weight_hh=GATES["hh"][:H],
        bias=GATES["b"][:H], activation="relu", output_sequence=True,
    )[0],
    rnn,
)  # fmt: skip

# ---- control flow

case(
    "cond",
    lambda mb, v: mb.cond(
        pred=mb.greater(x=mb.reduce_sum(x=v.at, keep_dims=False), y=4),
        _true_fn=lambda: mb.mul(x=v.s, y=2.0),
        _false_fn=lambda: mb.add(x=v.s, y=1.0),
    ),
    lambda: S * 2 if AT.sum() > 4 else S + 1,
)
case(
    "while_loop",
    lambda mb, v: mb.while_loop(
        _cond=lambda n, x: mb.less(x=n, y=3),
        _body=lambda n, x: (mb.add(x=n, y=1), mb.mul(x=x, y=1.5)),
        loop_vars=(mb.mul(x=mb.reduce_min(x=v.at, keep_dims=False), y=1), v.s),
    )[1],
    lambda: S * 1.5**3,
)


def listed(mb: Any, v: Any) -> Any:
    """Write x · n to place n of a list for n = 0, 1, 2; then read two of them back."""
    ls = mb.make_list(init_length=1, elem_shape=(4, 5), dynamic_length=True)
    _, ls = mb.while_loop(
        _cond=lambda n, ls: mb.less(x=n, y=3),
        _body=lambda n, ls: (
            mb.add(x=n, y=1),
            mb.list_write(ls=ls, index=n, value=mb.mul(x=v.u, y=mb.cast(x=n, dtype="fp32"))),
        ),
        loop_vars=(mb.mul(x=mb.reduce_min(x=v.at, keep_dims=False), y=1), ls),
    )
    ls = mb.list_scatter(ls=ls, indices=[0], value=mb.expand_dims(x=v.p, axes=[0]))
    read = mb.expand_dims(x=mb.list_read(ls=ls, index=1), axes=[0])
    return mb.concat(values=(mb.list_gather(ls=ls, indices=[2, 0]), read), axis=0)


def listed_bools(mb: Any, v: Any) -> Any:
    positive = mb.greater(x=v.u, y=0.0)
    first = mb.slice_by_index(x=positive, begin=[0, 0], end=[2, 5])
    ls = mb.make_list(init_length=1, elem_shape=(5,), dynamic_length=True, dtype="bool")
    ls = mb.list_scatter(ls=ls, indices=[3, 1], value=first)
    return mb.list_gather(ls=ls, indices=[0, 1, 3])


case("lists of bool", listed_bools, lambda: np.stack([U[0] > 2, U[1] > 0, U[0] > 0]))
case("lists", listed, lambda: np.stack([U * 2, P, U]))


# ---- the tests


class _Inputs:
    """The program's inputs as attributes."""

    def __init__(self, mb: Any, variables: dict[str, Any]) -> None:
        self.__dict__.update(variables)
        self.i_float = mb.cast(x=self.i, dtype="fp32")


def _name(case: Case) -> str:
    return "case_" + "".join(c if c.isalnum() else "_" for c in case.name)


def package(folder: Path, ios: int) -> Path:
    """All cases of one operator set in one package."""

    def program(mb: Any, **variables: Any) -> dict[str, Any]:
        inputs = _Inputs(mb, variables)
        return {_name(c): c.build(mb, inputs) for c in CASES if c.ios == ios}

    return programs.save(folder / f"ios{ios}.mlpackage", program, ARRAYS, ios=ios)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("ops")
    return {ios: package(folder, ios) for ios in (15, 16, 17, 18)}


@pytest.fixture(scope="module")
def results(packages: dict[int, Path]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for path in packages.values():
        found |= evaluator.open(path, "float32").run(ARRAYS)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_op(case: Case, results: dict[str, Array]) -> None:
    expected, found = np.asarray(case.expected()), results[_name(case)]
    if expected.ndim == 0:  # a package's outputs have one axis at least
        found = found.reshape(())
    assert found.shape == expected.shape
    scale = max(1.0, float(np.abs(expected.astype(np.float64)).max(initial=0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=case.tolerance * scale)
