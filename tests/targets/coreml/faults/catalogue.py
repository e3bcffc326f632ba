"""What goes wrong with converted models, as changes to a saved package.

A fault is planted in one op, which it returns. Where a fault may be invisible, `unseen` looks at the
values that the healthy program computes at this op and says why the data cannot show it, in numbers; an
empty answer means that they can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np

from tests.targets.coreml.faults.saved import NotHereError, Saved

__all__ = ["FAULTS", "Fault", "Values"]

Array = np.ndarray[Any, np.dtype[Any]]
Op = Any
Values = Mapping[str, Array]  # every value of the healthy program, by name; samples first
Plant = Callable[[Saved], Op]
Unseen = Callable[[Saved, Op, Values], str]


def _always_seen(saved: Saved, op: Op, values: Values) -> str:
    return ""


@dataclass(frozen=True)
class Fault:
    """`plant` raises `NotHereError` where a network has nothing of the kind."""

    name: str
    plant: Plant
    unseen: Unseen = _always_seen


FAULTS: list[Fault] = []


def fault(name: str, unseen: Unseen = _always_seen) -> Callable[[Plant], Plant]:
    def register(plant: Plant) -> Plant:
        FAULTS.append(Fault(name, plant, unseen))
        return plant

    return register


# ---- why data may not show a fault


def _hardly_above_six(saved: Saved, op: Op, values: Values) -> str:
    x = values[saved.source(op, "x")]
    above = np.maximum(x - 6, 0)
    if not above.any():
        return f"no activation exceeds 6: the largest is {x.max():.3g}"
    share = float(above.sum() / np.maximum(x, 0).sum())
    if share > 1e-3:
        return ""
    return f"what exceeds 6 is {share:.1e} of all activation ({(above > 0).sum()} of {x.size:,} values)"


def _even_padding(saved: Saved, op: Op, values: Values) -> str:
    """`same` and `same_lower` differ where an odd number of elements is padded."""
    size = saved.shape(saved.source(op, "x"))[2:]
    kernel = saved.constant(op, "weight" if op.type == "conv" else "kernel_sizes")
    kernel = kernel.shape[2:] if op.type == "conv" else tuple(kernel)
    strides = saved.constant(op, "strides")
    totals = [
        max(0, (-(-n // s) - 1) * s + k - n) for n, k, s in zip(size, kernel, strides, strict=True)
    ]
    if any(t % 2 for t in totals):
        return ""
    return (
        f"the padding is {' and '.join(map(str, totals))} elements in all: the same on both sides"
    )


# ---- weights that are missing or in a wrong place


@fault("a convolution lost its bias")
def _(saved: Saved) -> Op:
    op = saved.middle("conv", "conv_transpose", where=lambda op: "bias" in op.inputs)
    del op.inputs["bias"]
    return op


@fault("a dense layer lost its bias")
def _(saved: Saved) -> Op:
    op = saved.ops("linear", where=lambda op: "bias" in op.inputs)[-1]
    del op.inputs["bias"]
    return op


@fault("two layers swapped their biases")
def _(saved: Saved) -> Op:
    convs = saved.ops("conv", where=lambda op: "bias" in op.inputs)
    for k, first in enumerate(convs):
        for second in convs[k + 1 :]:
            a, b = saved.weight(first, "bias"), saved.weight(second, "bias")
            if a.shape == b.shape and (a != b).any():
                a[:], b[:] = b.copy(), a.copy()
                return first
    raise NotHereError("no two biases of one size")


@fault("a kernel is turned by 180 degrees")
def _(saved: Saved) -> Op:
    op = saved.middle("conv", "conv_transpose", where=lambda op: _taps(saved, op) > 1)
    weight = saved.weight(op, "weight")
    weight[:] = weight[..., ::-1, ::-1].copy()
    return op


@fault("height and width of a kernel are swapped")
def _(saved: Saved) -> Op:
    op = saved.middle("conv", "conv_transpose", where=lambda op: _taps(saved, op) > 1)
    weight = saved.weight(op, "weight")
    weight[:] = weight.swapaxes(-1, -2).copy()
    return op


def _taps(saved: Saved, op: Op) -> int:
    try:
        weight = saved.weight(op, "weight")
    except NotHereError:
        return 0
    return int(np.prod(weight.shape[2:]))


@fault("input channels of a kernel are in reverse (RGB as BGR)")
def _(saved: Saved) -> Op:
    op = saved.ops("conv", where=lambda op: saved.weight(op, "weight").shape[1] > 1)[0]
    weight = saved.weight(op, "weight")
    weight[:] = weight[:, ::-1].copy()
    return op


@fault("output channels of a kernel are moved by one")
def _(saved: Saved) -> Op:
    op = saved.middle("conv", where=lambda op: saved.weight(op, "weight").shape[0] > 1)
    weight = saved.weight(op, "weight")
    weight[:] = np.roll(weight, 1, axis=0)
    return op


@fault("groups of a convolution are swapped")
def _(saved: Saved) -> Op:
    op = saved.middle("conv", where=lambda op: int(saved.constant(op, "groups")) > 1)
    groups, weight = int(saved.constant(op, "groups")), saved.weight(op, "weight")
    weight[:] = np.roll(weight, weight.shape[0] // groups, axis=0)
    return op


@fault("a dense weight is read in the other memory order")
def _(saved: Saved) -> Op:
    op = saved.ops("linear")[-1]
    weight = saved.weight(op, "weight")
    weight[:] = weight.T.reshape(weight.shape).copy()
    return op


@fault("a weight's largest element lost its sign (one bit)")
def _(saved: Saved) -> Op:
    op, bits = _bits(saved)
    bits ^= bits.dtype.type(1) << (8 * bits.itemsize - 1)
    return op


@fault("a weight's largest element has another exponent (one bit)")
def _(saved: Saved) -> Op:
    op, bits = _bits(saved)
    bits ^= bits.dtype.type(1) << (8 * bits.itemsize - 5)
    return op


def _last_bit(saved: Saved, op: Op, values: Values) -> str:
    weight = saved.constant(op, "weight")
    precision = {np.dtype("f4"): 23, np.dtype("f2"): 10}[weight.dtype]
    return f"one weight of {weight.size:,} changes by 2^-{precision} of itself: less than rounding"


@fault("a weight's largest element has another last bit", _last_bit)
def _(saved: Saved) -> Op:
    op, bits = _bits(saved)
    bits ^= bits.dtype.type(1)
    return op


def _bits(saved: Saved) -> tuple[Op, Array]:
    """The largest element of the middle convolution or dense layer, as bits."""
    op = saved.middle(
        "conv", "linear", where=lambda op: saved.weight(op, "weight").dtype.kind == "f"
    )
    flat = saved.weight(op, "weight").reshape(-1)
    place = int(np.abs(flat.astype(np.float64)).argmax())
    return op, flat[place : place + 1].view({2: np.uint16, 4: np.uint32}[flat.itemsize])


@fault("a tenth of a weight is zero")
def _(saved: Saved) -> Op:
    op = saved.middle("conv", "linear")
    flat = saved.weight(op, "weight").reshape(-1)
    flat[: max(1, flat.size // 10)] = 0
    return op


@fault("a weight is not a number")
def _(saved: Saved) -> Op:
    op = saved.middle("conv", "linear")
    saved.weight(op, "weight").reshape(-1)[0] = np.nan
    return op


@fault("a constant overflows float16")
def _(saved: Saved) -> Op:
    def half(op: Op) -> bool:
        return saved.weight(op, "weight").dtype == np.float16

    op = saved.middle("conv", "linear", where=half)
    saved.weight(op, "weight").reshape(-1)[0] = np.inf
    return op


# ---- parameters of convolution and pooling


@fault("a convolution pads at the other side", _even_padding)
def _(saved: Saved) -> Op:
    op = saved.ops("conv", "avg_pool", "max_pool", where=lambda op: _pads(saved, op))[-1]
    saved.put(op, "pad_type", "same_lower")
    return op


@fault("a strided convolution pads at the other side", _even_padding)
def _(saved: Saved) -> Op:
    def strided(op: Op) -> bool:
        return _pads(saved, op) and int(max(saved.constant(op, "strides"))) > 1

    op = saved.middle("conv", "avg_pool", "max_pool", where=strided)
    saved.put(op, "pad_type", "same_lower")
    return op


def _pads(saved: Saved, op: Op) -> bool:
    spatial = saved.shape(saved.source(op, "x"))[2:]
    same = saved.constant(op, "pad_type") == "same" and max(spatial) > 1
    return same and (op.type != "conv" or _taps(saved, op) > 1)


@fault("padding that has one element more after now has it before")
def _(saved: Saved) -> Op:
    op = saved.ops("pad")[0]
    amounts = saved.constant(op, "pad")
    saved.put(op, "pad", amounts.reshape(-1, 2)[:, ::-1].reshape(-1))
    return op


@fault("padding is filled with another number than zero")
def _(saved: Saved) -> Op:
    op = saved.ops("pad")[0]
    saved.put(op, "constant_val", 1.0)
    return op


@fault("padding repeats the border")
def _(saved: Saved) -> Op:
    op = saved.ops("pad")[0]
    saved.put(op, "mode", "replicate")
    return op


@fault("a stride is another")
def _(saved: Saved) -> Op:
    op = saved.ops("conv", where=lambda op: int(max(saved.constant(op, "strides"))) > 1)[-1]
    saved.put(op, "strides", [1, 1])
    return op


@fault("a dilation is another")
def _(saved: Saved) -> Op:
    op = saved.ops("conv", where=lambda op: _pads(saved, op))[0]
    saved.put(op, "dilations", 3 - saved.constant(op, "dilations"))
    return op


@fault("a convolution has no groups")
def _(saved: Saved) -> Op:
    op = saved.middle("conv", where=lambda op: int(saved.constant(op, "groups")) > 1)
    saved.put(op, "groups", 1)
    return op


@fault("an average counts the padding")
def _(saved: Saved) -> Op:
    op = saved.ops("avg_pool", where=lambda op: _pads(saved, op))[0]
    flag = saved.constant(op, "exclude_padding_from_average")
    saved.put(op, "exclude_padding_from_average", ~flag)
    return op


@fault("max pooling instead of average pooling")
def _(saved: Saved) -> Op:
    op = saved.ops("avg_pool")[0]
    keep = {k: True for k in op.inputs if k != "exclude_padding_from_average"}
    saved.become(op, "max_pool", **keep)
    return op


@fault("average pooling instead of max pooling")
def _(saved: Saved) -> Op:
    op = saved.ops("max_pool")[0]
    saved.become(op, "avg_pool", **dict.fromkeys(op.inputs, True))
    return op


@fault("a transposed convolution is cut at the other side")
def _(saved: Saved) -> Op:
    op = saved.ops("conv_transpose")[0]
    saved.put(op, "pad_type", "custom")
    saved.put(op, "pad", [1, 0, 1, 0])
    return op


# ---- activations


def _relu6(place: int, name: str) -> None:
    @fault(f"relu6 became relu ({name})", _hardly_above_six)
    def _(saved: Saved) -> Op:
        found = saved.ops("relu6")
        op = found[place * (len(found) - 1) // 2]
        op.type = "relu"
        return op


for _place, _name in enumerate(("first", "middle", "last")):
    _relu6(_place, _name)


@fault("relu became relu6", _hardly_above_six)
def _(saved: Saved) -> Op:
    op = saved.middle("relu")
    op.type = "relu6"
    return op


@fault("an activation is missing")
def _(saved: Saved) -> Op:
    op = saved.middle("relu", "relu6", "silu", "elu", "leaky_relu")
    saved.become(op, "identity", x=True)
    return op


@fault("the slope of leaky_relu or elu is another")
def _(saved: Saved) -> Op:
    op = saved.middle("leaky_relu", "elu")
    saved.put(op, "alpha", saved.constant(op, "alpha") / 2)
    return op


@fault("silu became relu")
def _(saved: Saved) -> Op:
    op = saved.middle("silu")
    op.type = "relu"
    return op


def _formulas_agree(saved: Saved, op: Op, values: Values) -> str:
    from scipy.special import erf

    x = values[saved.source(_halved(saved, op), "y")]
    exact = x * (1 + erf(x / np.sqrt(2))) / 2
    by_tanh = x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2
    share = float(np.abs(exact - by_tanh).max() / np.ptp(exact))
    return f"the formulas differ by {share:.1e} of their span at most" if share < 5e-4 else ""


def _halved(saved: Saved, last: Op) -> Op:
    return saved.ops("mul", where=lambda op: op.outputs[0].name == saved.source(last, "x"))[0]


@fault("gelu by tanh instead of the exact one", _formulas_agree)
def _(saved: Saved) -> Op:
    """x/2 · (1 - erf(-x/√2)) as mlc writes it → one `gelu` op in the place of the last product."""
    (erf,) = saved.ops("erf")
    (one_minus,) = saved.ops("sub", where=lambda op: _takes(saved, op, erf))
    (last,) = saved.ops("mul", where=lambda op: _takes(saved, op, one_minus))
    source = saved.source(_halved(saved, last), "y")
    saved.become(last, "gelu", x=True, mode="TANH_APPROXIMATION")
    saved.wire(last, "x", source)
    return last


def _takes(saved: Saved, op: Op, producer: Op) -> bool:
    names = {a.name for argument in op.inputs.values() for a in argument.arguments}
    return producer.outputs[0].name in names


@fault("softmax is missing")
def _(saved: Saved) -> Op:
    op = saved.ops("softmax")[-1]
    saved.become(op, "identity", x=True)
    return op


@fault("softmax along another axis")
def _(saved: Saved) -> Op:
    op = saved.ops("softmax")[0]
    saved.put(op, "axis", saved.constant(op, "axis") - 1)
    return op


# ---- arithmetic


@fault("a residual is lost")
def _(saved: Saved) -> Op:
    op = saved.middle("add", where=lambda op: _residual(saved, op))
    saved.become(op, "identity", x=True)
    return op


@fault("a residual adds the branch to itself")
def _(saved: Saved) -> Op:
    op = saved.middle("add", where=lambda op: _residual(saved, op))
    saved.wire(op, "y", saved.source(op, "x"))
    return op


def _residual(saved: Saved, op: Op) -> bool:
    both = saved.computed(op, "x") and saved.computed(op, "y")
    return both and saved.shape(saved.source(op, "x")) == saved.shape(saved.source(op, "y"))


@fault("the scale of the pixels is 0.4 % off (1/255 for 1/256)")
def _(saved: Saved) -> Op:
    op = saved.ops("mul", where=lambda op: len(saved.shape(op.outputs[0].name)) == 4)[0]
    saved.put(op, "y", saved.constant(op, "y") * np.float32(256 / 255))
    return op


@fault("a sum became a product")
def _(saved: Saved) -> Op:
    op = saved.middle("add", where=lambda op: saved.computed(op, "x"))
    op.type = "mul"
    return op


def _same_for_all_keys(saved: Saved, op: Op, values: Values) -> str:
    """Softmax does not change when all of a row is moved alike, as the bias of the keys does."""
    for scores in [o for o in saved.block.operations if o.type == "matmul"]:
        keys = saved.source(scores, "y")
        made = [
            o for o in saved.block.operations if o.type == "transpose" and o.outputs[0].name == keys
        ]
        if made and saved.source(made[0], "x") == op.outputs[0].name:
            queries = values[saved.source(scores, "x")]  # [samples, 1, heads, queries, depth]
            moved = np.einsum("snhqd,hd->snhq", queries, saved.constant(op, "y"))
            return (
                f"it moves the attention scores of a query, by up to {np.abs(moved).max():.2g}, "
                "by the same for all keys: softmax cancels it"
            )
    return ""


@fault("a shift is missing", _same_for_all_keys)
def _(saved: Saved) -> Op:
    def shifts(op: Op) -> bool:
        return saved.computed(op, "x") and not saved.computed(op, "y")

    op = saved.middle("add", where=shifts)
    saved.become(op, "identity", x=True)
    return op


@fault("the operands of a difference are swapped")
def _(saved: Saved) -> Op:
    op = saved.ops("sub", where=lambda op: saved.computed(op, "y"))[-1]
    first, second = op.inputs["x"].arguments[0], op.inputs["y"].arguments[0]
    kept = type(first)()
    kept.CopyFrom(first)
    first.CopyFrom(second)
    second.CopyFrom(kept)
    return op


@fault("a mean became a sum")
def _(saved: Saved) -> Op:
    op = saved.ops("reduce_mean")[-1]
    op.type = "reduce_sum"
    return op


@fault("a mean became a maximum")
def _(saved: Saved) -> Op:
    op = saved.ops("reduce_mean")[-1]
    op.type = "reduce_max"
    return op


@fault("a mean along another axis")
def _(saved: Saved) -> Op:
    op = saved.ops("reduce_mean")[0]
    axes = saved.constant(op, "axes")
    saved.put(op, "axes", axes - 1 if axes.size == 1 else axes + 1)
    return op


@fault("a mean keeps its axes")
def _(saved: Saved) -> Op:
    op = saved.ops("reduce_mean")[-1]
    saved.put(op, "keep_dims", ~saved.constant(op, "keep_dims"))
    return op


# ---- normalization


def _epsilon(value: float) -> Unseen:
    def unseen(saved: Saved, op: Op, values: Values) -> str:
        variance = values[saved.source(op, "x")]
        old = float(saved.constant(op, "y"))
        change = float((np.abs(value - old) / (2 * (variance + old))).max())
        if change > 2e-4:
            return ""
        return f"the smallest variance is {variance.min():.3g}: a scale changes by {change:.1e} at most"

    return unseen


def _epsilon_fault(value: float) -> None:
    @fault(f"LayerNorm's epsilon is {value:g} instead of 0.001", _epsilon(value))
    def _(saved: Saved) -> Op:
        def is_epsilon(op: Op) -> bool:
            return op.outputs[0].name in {saved.source(r, "x") for r in saved.ops("rsqrt")}

        op = saved.ops("add", where=is_epsilon)[0]
        saved.put(op, "y", value)
        return op


for _value in (1e-5, 1e-2):
    _epsilon_fault(_value)


# ---- layout


@fault("height and width of the input are swapped")
def _(saved: Saved) -> Op:
    op = saved.ops("transpose", where=lambda op: len(saved.constant(op, "perm")) == 4)[0]
    perm = saved.constant(op, "perm").copy()
    perm[[-2, -1]] = perm[[-1, -2]]
    saved.put(op, "perm", perm)
    return op


def _averaged(saved: Saved, op: Op, values: Values) -> str:
    """Places do not matter where a mean over both axes follows, with nothing between that knows them."""
    if set(saved.shape(op.outputs[0].name)[1:3]) == {1}:
        return "both axes are one element long"
    following = [o for o in saved.block.operations if o.type != "const"]
    following = following[following.index(op) + 1 :]
    between = list(takewhile(lambda o: o.type != "reduce_mean", following))
    if len(between) == len(following) or not {o.type for o in between} <= {"mul", "add", "relu6"}:
        return ""
    axes = saved.constant(following[len(between)], "axes").tolist()
    names = ", ".join(o.type for o in between)
    return f"both axes are averaged next, with {names} between" if axes == [1, 2] else ""


@fault("two axes of a transposition are swapped", _averaged)
def _(saved: Saved) -> Op:
    op = saved.ops("transpose")[-1]
    perm = saved.constant(op, "perm").copy()
    perm[[1, 2]] = perm[[2, 1]]
    saved.put(op, "perm", perm)
    return op


@fault("a reshape in the place of a transposition")
def _(saved: Saved) -> Op:
    op = saved.ops("transpose", where=lambda op: min(saved.shape(op.outputs[0].name)[1:]) > 1)[-1]
    saved.become(op, "reshape", x=True, shape=np.array(saved.shape(op.outputs[0].name), np.int32))
    return op


@fault("the inputs of a concatenation are in another order")
def _(saved: Saved) -> Op:
    op = saved.ops("concat")[-1]
    names = [a.name for a in op.inputs["values"].arguments]
    for place, name in enumerate(reversed(names)):
        saved.wire(op, "values", name, place)
    return op


@fault("a concatenation interleaves")
def _(saved: Saved) -> Op:
    op = saved.ops("concat")[0]
    saved.put(op, "interleave", True)
    return op


@fault("a concatenation along another axis")
def _(saved: Saved) -> Op:
    op = saved.ops("concat")[-1]
    saved.put(op, "axis", 0)
    return op


@fault("a matrix product has a transposed operand")
def _(saved: Saved) -> Op:
    def square(op: Op) -> bool:
        return len(set(saved.shape(saved.source(op, "y"))[-2:])) == 1

    op = saved.middle("matmul", where=square)
    saved.put(op, "transpose_y", ~saved.constant(op, "transpose_y"))
    return op


@fault("the operands of a matrix product are swapped")
def _(saved: Saved) -> Op:
    def alike(op: Op) -> bool:
        x, y = saved.source(op, "x"), saved.source(op, "y")
        return saved.computed(op, "y") and saved.shape(x) == saved.shape(y)

    op = saved.middle("matmul", where=alike)
    x, y = saved.source(op, "x"), saved.source(op, "y")
    saved.wire(op, "x", y)
    saved.wire(op, "y", x)
    return op


@fault("attention is not scaled")
def _(saved: Saved) -> Op:
    products = {op.outputs[0].name for op in saved.ops("matmul")}
    op = saved.ops("mul", where=lambda op: saved.source(op, "x") in products)[0]
    saved.become(op, "identity", x=True)
    return op


@fault("rows of an embedding are off by one")
def _(saved: Saved) -> Op:
    op = saved.ops("gather")[0]
    table = saved.weight(op, "x")
    table[:] = np.roll(table, 1, axis=0)
    return op


@fault("a choice takes the other side")
def _(saved: Saved) -> Op:
    op = saved.ops("select")[0]
    a, b = saved.source(op, "a"), saved.source(op, "b")
    saved.wire(op, "a", b)
    saved.wire(op, "b", a)
    return op


def _negative_zero(saved: Saved, op: Op, values: Values) -> str:
    x = values[saved.source(op, "x")]
    equal = int((x == saved.constant(op, "y")).sum())
    return "" if equal else "no value equals the bound"


@fault("less became less_equal", _negative_zero)
def _(saved: Saved) -> Op:
    op = saved.ops("less")[0]
    op.type = "less_equal"
    return op


@fault("the first step is taken instead of the last")
def _(saved: Saved) -> Op:
    def last_step(op: Op) -> bool:
        begin = saved.constant(op, "begin")
        steps = saved.shape(saved.source(op, "x"))[0]
        return int(begin[0]) == -1 and steps > 1

    op = saved.ops("slice_by_index", where=last_step)[0]
    saved.put(op, "begin", [0] * len(saved.constant(op, "begin")))
    saved.put(op, "end", [1, 0, 0])
    saved.put(op, "end_mask", [False, True, True])
    return op


@fault("a series is not reversed")
def _(saved: Saved) -> Op:
    op = saved.ops("reverse")[0]
    saved.become(op, "identity", x=True)
    return op


# ---- resizing


@fault("bilinear resizing aligns the corners")
def _(saved: Saved) -> Op:
    op = saved.ops("upsample_bilinear")[0]
    saved.put(op, "align_corners", ~saved.constant(op, "align_corners"))
    return op


@fault("nearest instead of bilinear")
def _(saved: Saved) -> Op:
    op = saved.ops("upsample_bilinear")[0]
    keep = dict.fromkeys(("x", "scale_factor_height", "scale_factor_width"), True)
    saved.become(op, "upsample_nearest_neighbor", **keep)
    return op


# ---- recurrence


@fault("gates of an LSTM are in Keras's order")
def _(saved: Saved) -> Op:
    op = saved.ops("lstm")[0]
    for name in ("weight_ih", "weight_hh", "bias"):
        i, f, o, g = np.split(saved.constant(op, name), 4)
        saved.put(op, name, np.concatenate([i, f, g, o]))
    return op


@fault("an LSTM runs backwards")
def _(saved: Saved) -> Op:
    op = saved.ops("lstm")[0]
    saved.put(op, "direction", "reverse")
    return op


@fault("an LSTM lost its bias")
def _(saved: Saved) -> Op:
    op = saved.ops("lstm")[0]
    del op.inputs["bias"]
    return op


@fault("recurrent weights of an LSTM are transposed")
def _(saved: Saved) -> Op:
    op = saved.ops("lstm")[0]
    gates = np.split(saved.constant(op, "weight_hh"), 4)
    saved.put(op, "weight_hh", np.concatenate([gate.T for gate in gates]))
    return op


@fault("gates of an LSTM are hard_sigmoid instead of sigmoid")
def _(saved: Saved) -> Op:
    op = saved.ops("lstm")[0]
    saved.put(op, "recurrent_activation", "hard_sigmoid")
    return op


@fault("the cell of an LSTM has no tanh at its end")
def _(saved: Saved) -> Op:
    op = saved.ops("lstm")[0]
    saved.put(op, "activation", "linear")
    return op


@fault("an LSTM starts from another state")
def _(saved: Saved) -> Op:
    op = saved.ops("lstm")[0]
    saved.put(op, "initial_h", np.ones_like(saved.constant(op, "initial_h")))
    return op


# ---- compressed weights


_PALETTE, _SPARSE = "constexpr_lut_to_dense", "constexpr_sparse_to_dense"
_AFFINE = ("constexpr_affine_dequantize", "constexpr_blockwise_shift_scale")


def _offset(saved: Saved, op: Op) -> str:
    return "zero_point" if op.type == _AFFINE[0] else "offset"


@fault("a palette of another layer")
def _(saved: Saved) -> Op:
    op = saved.middle(_PALETTE)
    lut, others = saved.weight(op, "lut").reshape(-1), saved.ops(_PALETTE)
    palettes = [saved.weight(o, "lut").reshape(-1) for o in others if o is not op]
    farthest = max(palettes, key=lambda other: float(np.abs(other - lut).sum()))
    lut[:] = farthest
    return op


@fault("a palette in reverse")
def _(saved: Saved) -> Op:
    op = saved.middle(_PALETTE)
    lut = saved.weight(op, "lut").reshape(-1)
    lut[:] = lut[::-1].copy()
    return op


@fault("palette indices with their halves of a byte swapped")
def _(saved: Saved) -> Op:
    op = saved.middle(_PALETTE)
    packed = saved.weight(op, "indices").reshape(-1)
    packed[:] = packed << 4 | packed >> 4
    return op


@fault("a mask of sparse weights is moved by one")
def _(saved: Saved) -> Op:
    op = saved.middle(_SPARSE)
    packed = saved.weight(op, "mask").reshape(-1)
    bits = np.unpackbits(packed, bitorder="little")
    packed[:] = np.packbits(np.roll(bits, 1), bitorder="little")
    return op


@fault("sparse weights are moved by one")
def _(saved: Saved) -> Op:
    op = saved.middle(_SPARSE)
    values = saved.weight(op, "nonzero_data").reshape(-1)
    values[:] = np.roll(values, 1)
    return op


@fault("zero points are moved by 16")
def _(saved: Saved) -> Op:
    op = saved.middle(*_AFFINE)
    saved.put(op, _offset(saved, op), saved.constant(op, _offset(saved, op)) ^ 16)
    return op


@fault("zero points are those of the other sign")
def _(saved: Saved) -> Op:
    op = saved.middle(*_AFFINE)
    old = saved.constant(op, _offset(saved, op))
    saved.put(op, _offset(saved, op), (old.view(np.uint8) ^ 128).view(old.dtype))
    return op


@fault("scales of a quantized weight are moved by one channel")
def _(saved: Saved) -> Op:
    op = saved.middle(*_AFFINE, where=lambda op: saved.constant(op, "scale").size > 1)
    scale = saved.constant(op, "scale")
    saved.put(op, "scale", np.roll(scale.reshape(-1), 1).reshape(scale.shape))
    return op


@fault("scales of a quantized weight are doubled")
def _(saved: Saved) -> Op:
    op = saved.middle(*_AFFINE)
    saved.put(op, "scale", saved.constant(op, "scale") * 2)
    return op
