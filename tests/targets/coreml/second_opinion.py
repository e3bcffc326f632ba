"""Another executor of ML Programs, to hold mlc's evaluator against. For tests only: it is slow.

Nothing is shared with the evaluator. The package is read by coremltools' loader, not by ours; most ops
are computed by coremltools' own `value_inference`, which is meant for constant folding and runs on
anything once values are bound to the variables of the program; the others (convolution, pooling,
resizing, recurrence) are written here in numpy, from the documentation of MIL. What neither knows
raises `NotImplementedError`.

Each result is rounded once to the type that the program declares for it, as in the evaluator's mode
`declared`. (coremltools' own arithmetic rounds to float16 too, so there is no other mode.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["run"]

Array = np.ndarray[Any, np.dtype[Any]]
Op = Any  # coremltools' Operation
KERNELS: dict[str, Callable[[Op], Any]] = {}


def run(
    path: Path,
    feeds: Sequence[Mapping[str, Array]],
    tap: Callable[[str, Array], None] | None = None,
) -> list[dict[str, Array]]:
    """The outputs for each of the feeds. `tap` is shown every value, by its name in the program."""
    main = _load(path).functions["main"]
    found = []
    for feed in feeds:
        for name, variable in main.inputs.items():
            _bind(variable, np.asarray(feed[name], np.float32))
        _execute(main, tap)
        found.append({v.name: np.asarray(v.val) for v in main.outputs})
    return found


def _load(path: Path) -> Any:
    import coremltools
    from coremltools.converters.mil.frontend.milproto.load import load

    logging.getLogger("coremltools").setLevel(logging.ERROR)
    spec = coremltools.utils.load_spec(str(path))
    weights = path / "Data" / "com.apple.CoreML" / "weights"
    return load(spec, spec.specificationVersion, str(weights))


@dataclass
class _Held:
    """What coremltools keeps a value in; `val` is all that is read of it."""

    val: Any


def _bind(variable: Any, value: Any) -> None:
    """Give a variable its value: rounded as its declared type demands, then widened to float32."""
    if isinstance(value, list):  # MIL's list: its elements were rounded when they were computed
        variable._sym_val = _Held(value)
        return
    from coremltools.converters.mil.mil import types

    array = np.asarray(value)
    declared = np.dtype(types.nptype_from_builtin(variable.dtype))
    if declared.kind == "f":
        with np.errstate(over="ignore"):
            array = array.astype(declared).astype(np.float32)
    else:
        array = array.astype(declared)
    variable._sym_val = _Held(array if variable.shape else array.reshape(())[()])


def _execute(block: Any, tap: Callable[[str, Array], None] | None = None) -> None:
    for op in block.operations:
        if op.op_type == "const":
            if np.asarray(op.val.val).dtype.kind in "fiub":  # else a string
                _bind(op.outputs[0], op.val.val)
            continue
        for variable, value in zip(op.outputs, _results(op), strict=True):
            _bind(variable, value)
            if tap is not None and not isinstance(value, list):
                tap(variable.name, np.asarray(variable.val))


def _results(op: Op) -> list[Any]:
    from coremltools.converters.mil.mil.operation import Operation

    if op.op_type == "while_loop":
        return _loop(op)
    if op.op_type.startswith("constexpr_"):
        found = op.materialized_val_inference()
    elif op.op_type in KERNELS:
        found = KERNELS[op.op_type](op)
    elif type(op).value_inference is not Operation.value_inference:
        found = op.value_inference()
    else:
        raise NotImplementedError(f"{op.name}: op {op.op_type}")
    return list(found) if isinstance(found, tuple | list) else [found]


def _loop(op: Op) -> list[Any]:
    condition, body = op.blocks
    values = [v.val for v in op.loop_vars]
    while True:
        for variable, value in zip(condition.inputs, values, strict=True):
            variable._sym_val = _Held(value)
        _execute(condition)
        if not condition.outputs[0].val:
            return values
        for variable, value in zip(body.inputs, values, strict=True):
            variable._sym_val = _Held(value)
        _execute(body)
        values = [v.val for v in body.outputs]


def _kernel(function: Callable[[Op], Any]) -> Callable[[Op], Any]:
    KERNELS[function.__name__] = function
    return function


def _given(op: Op, name: str) -> Any:
    """A parameter's value, or None where it is absent."""
    variable = getattr(op, name, None)
    return None if variable is None else variable.val


def _integers(op: Op, name: str) -> list[int]:
    return [int(i) for i in np.atleast_1d(_given(op, name))]


# ---- convolution and pooling


def _padded(op: Op, x: Array, kernel: Sequence[int], fill: float) -> Array:
    """Pad the spatial axes as `pad_type` says."""
    kind = op.pad_type.val.lower()
    if kind == "valid":
        return x
    if kind == "custom":
        flat = _integers(op, "pad")
        pads = list(zip(flat[::2], flat[1::2], strict=True))
    else:
        pads = []
        dilations = _integers(op, "dilations") if hasattr(op, "dilations") else [1] * len(kernel)
        for size, k, stride, dilation in zip(
            x.shape[2:], kernel, _integers(op, "strides"), dilations, strict=True
        ):
            total = max(0, (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size)
            few = total // 2
            pads.append((few, total - few) if kind == "same" else (total - few, few))
    return np.pad(x, [(0, 0), (0, 0), *pads], constant_values=fill)


def _under(x: Array, tap: Sequence[int], places: Sequence[int], strides: Sequence[int]) -> Array:
    """The elements that one tap of a kernel lies on, at every place of the kernel: [N, C, places...]."""
    spatial = [
        slice(t, t + (n - 1) * s + 1, s) for t, n, s in zip(tap, places, strides, strict=True)
    ]
    return x[(slice(None), slice(None), *spatial)]


def _places(x: Array, spans: Sequence[int], strides: Sequence[int]) -> list[int]:
    """How many places there are for a kernel that spans so many elements, along each spatial axis."""
    return [
        (size - span) // s + 1 for size, span, s in zip(x.shape[2:], spans, strides, strict=True)
    ]


def _per_channel(vector: Any, rank: int) -> Array:
    return np.asarray(vector, np.float32).reshape(1, -1, *[1] * (rank - 2))


def _convolved(
    x: Array, weight: Array, strides: list[int], dilations: list[int], groups: int
) -> Array:
    """`x` is padded already; `weight` is [C_out, C_in / groups, kernel...]. Sums tap by tap."""
    kernel, batch = weight.shape[2:], len(x)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    places = _places(x, spans, strides)
    grouped = weight.reshape(groups, -1, *weight.shape[1:])  # [groups, outputs, inputs, kernel...]
    y = np.zeros((batch, groups, grouped.shape[1], int(np.prod(places))), np.float32)
    for tap in np.ndindex(*kernel):
        under = _under(x, [t * d for t, d in zip(tap, dilations, strict=True)], places, strides)
        under = under.reshape(batch, groups, weight.shape[1], -1)
        factor = grouped[(slice(None), slice(None), slice(None), *tap)]
        y += factor * under if weight.shape[1] == 1 else factor @ under
    return y.reshape(batch, -1, *places)


@_kernel
def conv(op: Op) -> Array:
    weight = np.asarray(op.weight.val, np.float32)
    x = _padded(op, op.x.val, weight.shape[2:], 0)
    y = _convolved(
        x, weight, _integers(op, "strides"), _integers(op, "dilations"), int(op.groups.val)
    )
    return y if op.bias is None else y + _per_channel(op.bias.val, y.ndim)


@_kernel
def conv_transpose(op: Op) -> Array:
    """The gradient of `conv`: zeros between the elements, a turned kernel, then cut to size."""
    weight, groups = np.asarray(op.weight.val, np.float32), int(op.groups.val)
    strides, dilations = _integers(op, "strides"), _integers(op, "dilations")
    x, kernel = op.x.val, weight.shape[2:]
    spread = np.zeros(
        (*x.shape[:2], *[(d - 1) * s + 1 for d, s in zip(x.shape[2:], strides, strict=True)]),
        np.float32,
    )
    spread[(slice(None), slice(None), *[slice(None, None, s) for s in strides])] = x
    reach = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    full = np.pad(spread, [(0, 0), (0, 0), *[(r, r) for r in reach]])
    width = weight.shape[0] // groups
    turned = np.flip(weight, tuple(range(2, weight.ndim)))
    by_group = [turned[g * width : (g + 1) * width].swapaxes(0, 1) for g in range(groups)]
    y = _convolved(full, np.concatenate(by_group), [1] * len(kernel), dilations, groups)
    wanted, before = op.outputs[0].shape[2:], []
    for axis, size in enumerate(wanted):
        surplus = y.shape[2 + axis] - size
        if op.pad_type.val.lower() == "custom":
            before.append(_integers(op, "pad")[2 * axis])
        else:
            before.append(max(0, surplus // 2))
    missing = [
        (0, max(0, b + size - have))
        for b, size, have in zip(before, wanted, y.shape[2:], strict=True)
    ]
    y = np.pad(y, [(0, 0), (0, 0), *missing])
    cut = [slice(b, b + size) for b, size in zip(before, wanted, strict=True)]
    y = y[(slice(None), slice(None), *cut)]
    return y if op.bias is None else y + _per_channel(op.bias.val, y.ndim)


def _pooled(op: Op, x: Array, fill: float, combine: Callable[[Array, Array], Array]) -> Array:
    if op.ceil_mode.val:
        raise NotImplementedError(f"{op.name}: ceil_mode")
    kernel, strides = _integers(op, "kernel_sizes"), _integers(op, "strides")
    padded = _padded(op, x, kernel, fill)
    places = _places(padded, kernel, strides)
    taps = [_under(padded, tap, places, strides) for tap in np.ndindex(*kernel)]
    return reduce(combine, taps)


@_kernel
def max_pool(op: Op) -> Array:
    return _pooled(op, op.x.val, -np.inf, np.maximum)


@_kernel
def avg_pool(op: Op) -> Array:
    total = _pooled(op, op.x.val, 0, np.add)
    if op.exclude_padding_from_average.val:
        return total / _pooled(op, np.ones_like(op.x.val), 0, np.add)
    return total / np.float32(np.prod(op.kernel_sizes.val))


@_kernel
def concat(op: Op) -> Array:
    """In place of coremltools' own, which overlooks `interleave`."""
    arrays, axis = [v.val for v in op.values], int(op.axis.val)
    if not op.interleave.val:
        return np.concatenate(arrays, axis)
    first = np.stack(arrays, axis % arrays[0].ndim + 1)
    shape = list(arrays[0].shape)
    shape[axis] *= len(arrays)
    return first.reshape(shape)


# ---- normalization and activation


@_kernel
def batch_norm(op: Op) -> Array:
    def vector(name: str, absent: float) -> Array:
        given = _given(op, name)
        return _per_channel([absent] if given is None else given, op.x.rank)

    scale = vector("gamma", 1) / np.sqrt(vector("variance", 1) + np.float32(op.epsilon.val))
    return (op.x.val - vector("mean", 0)) * scale + vector("beta", 0)


@_kernel
def silu(op: Op) -> Array:
    return op.x.val / (1 + np.exp(-op.x.val))


@_kernel
def gelu(op: Op) -> Array:
    """In place of coremltools' formula, which goes through Python number by number."""
    from scipy.special import erf

    x = op.x.val
    if op.mode.val == "EXACT":
        return 0.5 * x * (1 + erf(x / np.sqrt(np.float32(2))))
    if op.mode.val == "TANH_APPROXIMATION":
        return 0.5 * x * (1 + np.tanh(np.float32(np.sqrt(2 / np.pi)) * (x + 0.044715 * x**3)))
    return x / (1 + np.exp(-1.702 * x))


# ---- resizing


def _sampled(x: Array, axis: int, points: Array) -> Array:
    """Linear interpolation along an axis, at fractional places inside of it."""
    low = np.floor(points).astype(int)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    share = (points - low).astype(np.float32)
    share = share.reshape([-1 if a == axis % x.ndim else 1 for a in range(x.ndim)])
    return np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share


def _grid(given: int, wanted: int, mode: str) -> Array:
    """The places of MIL's sampling modes, by the formulas of its documentation."""
    i = np.arange(wanted, dtype=np.float64)
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        if wanted == 1:
            points = i + ((given - 1) / 2 if mode == "ALIGN_CORNERS" else 0)
        else:
            points = i * (given - 1) / (wanted - 1)
    elif mode == "UNALIGN_CORNERS":
        points = (i + 0.5) * given / wanted - 0.5
    elif mode == "DEFAULT":
        points = i * (given - given / wanted) / max(1, wanted - 1)
    else:
        raise NotImplementedError(f"sampling mode {mode}")
    return np.clip(points, 0, given - 1)


@_kernel
def upsample_bilinear(op: Op) -> Array:
    mode = "STRICT_ALIGN_CORNERS" if op.align_corners.val else "UNALIGN_CORNERS"
    return _resized(op, mode)


@_kernel
def resize_bilinear(op: Op) -> Array:
    return _resized(op, op.sampling_mode.val)


def _resized(op: Op, mode: str) -> Array:
    x = op.x.val
    for axis in (-2, -1):
        x = _sampled(x, axis, _grid(x.shape[axis], op.outputs[0].shape[axis], mode))
    return x


@_kernel
def upsample_nearest_neighbor(op: Op) -> Array:
    factors = [int(op.scale_factor_height.val), int(op.scale_factor_width.val)]
    if factors != [op.scale_factor_height.val, op.scale_factor_width.val]:
        raise NotImplementedError(f"{op.name}: a fractional scale")
    return op.x.val.repeat(factors[0], -2).repeat(factors[1], -1)


# ---- recurrence


_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "linear": lambda x: x,
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
}


@_kernel
def lstm(op: Op) -> tuple[Array, Array, Array]:
    """Steps first; gates in the order input, forget, output, cell."""
    for name in ("peephole", "clip"):
        if _given(op, name) is not None:
            raise NotImplementedError(f"{op.name}: {name}")
    gate, cell, out = (
        _ACTIVATIONS[getattr(op, name).val]
        for name in ("recurrent_activation", "cell_activation", "activation")
    )
    ways = {"forward": [("", 1)], "reverse": [("", -1)], "bidirectional": [("", 1), ("_back", -1)]}
    hs, last_h, last_c = [], [], []
    for place, (suffix, step) in enumerate(ways[op.direction.val]):
        units = _given(op, "weight_hh" + suffix).shape[1]
        columns = slice(place * units, (place + 1) * units)
        h, c = op.initial_h.val[:, columns], op.initial_c.val[:, columns]
        bias = _given(op, "bias" + suffix)
        rows = []
        for x in op.x.val[::step]:
            z = x @ _given(op, "weight_ih" + suffix).T + h @ _given(op, "weight_hh" + suffix).T
            i, f, o, g = np.split(z if bias is None else z + bias, 4, axis=1)
            c = gate(f) * c + gate(i) * cell(g)
            h = gate(o) * out(c)
            rows.append(h)
        all_steps = np.stack(rows)[::step]
        hs.append(all_steps if op.output_sequence.val else h[None])
        last_h.append(h)
        last_c.append(c)
    return np.concatenate(hs, -1), np.concatenate(last_h, -1), np.concatenate(last_c, -1)


# ---- lists: as Python lists


@_kernel
def make_list(op: Op) -> Any:
    return [[None] * int(op.init_length.val)]


@_kernel
def list_write(op: Op) -> Any:
    items, index = list(op.ls.val), int(op.index.val)
    items += [None] * (index + 1 - len(items))
    items[index] = op.value.val
    return [items]


@_kernel
def list_scatter(op: Op) -> Any:
    items = list(op.ls.val)
    for index, value in zip(np.atleast_1d(op.indices.val), op.value.val, strict=True):
        items += [None] * (int(index) + 1 - len(items))
        items[int(index)] = value
    return [items]


@_kernel
def list_read(op: Op) -> Array:
    return np.asarray(op.ls.val[int(op.index.val)])


@_kernel
def list_gather(op: Op) -> Array:
    return np.stack([op.ls.val[int(i)] for i in np.atleast_1d(op.indices.val)])
