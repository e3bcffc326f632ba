"""MIL `tensor_transformation`: the same elements in another arrangement. All of it is exact."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mlc.targets.coreml.evaluator.lowering import END, Call, Graph, lowers

__all__: list[str] = []


@lowers("transpose", "x", "perm", exact=True)
def transpose(graph: Graph, op: Call) -> str:
    """Permute axes."""
    return graph.transpose(op.tensor("x"), op.axes("perm", op["x"].type.rank) or [])


@lowers("reshape", "x", "shape", exact=True)
def reshape(graph: Graph, op: Call) -> str:
    """Another shape for the same elements.

    -1 stands for whatever is left. 0 stands for the dimension of x at the same place, counted from the
    front up to iOS 16 (and only if the ranks agree), from the back since iOS 17, where a 0 beyond the
    rank of x stands for 1.
    """
    x, target = op["x"], op["shape"]
    if not target.is_constant:
        if target.type.shape and target.type.shape[0] == x.type.rank:
            return graph.node("Reshape", op.tensor("x"), op.int64("shape"))
        # With another rank a 0 would not mean to ONNX what it means to MIL: let ONNX refuse it.
        return graph.node("Reshape", op.tensor("x"), op.int64("shape"), allowzero=1)
    sizes = op.integers("shape") or []
    if target.constant.size == 0:
        sizes = []
    if 0 in sizes and len(sizes) != x.type.rank:
        if graph.ios < 17:
            raise op.unsupported("shape", "0 in a shape of another rank")
        for i, size in enumerate(sizes):
            if size == 0:
                place = i - len(sizes) + x.type.rank
                known = x.type.shape[place] if place >= 0 else 1
                if known is None:
                    raise op.unsupported("shape", "0 for an open dimension of another place")
                sizes[i] = known
    return graph.node("Reshape", op.tensor("x"), graph.ints(sizes))


@lowers("reshape_like", "x", "ref_tensors", "begins", "ends", "end_masks", exact=True)
def reshape_like(graph: Graph, op: Call) -> str:
    """Reshape to dimensions `begin` to `end` (or all from `begin`) of each reference, joined."""
    parts = [
        graph.shape(
            name, int(begin.constant), None if bool(open_end.constant) else int(end.constant)
        )
        for name, begin, end, open_end in zip(
            op.tensors("ref_tensors"),
            op.values("begins"),
            op.values("ends"),
            op.values("end_masks"),
            strict=True,
        )
    ]
    return graph.node("Reshape", op.tensor("x"), graph.node("Concat", *parts, axis=0), allowzero=1)


@lowers("expand_dims", "x", "axes", exact=True)
def expand_dims(graph: Graph, op: Call) -> str:
    """Insert axes of size one; positions are those in the result."""
    return graph.node("Unsqueeze", op.tensor("x"), op.int64("axes"))


@lowers("squeeze", "x", axes=None, exact=True)
def squeeze(graph: Graph, op: Call) -> str:
    """Remove axes of size one. An axis of another size stays even if named, as in PyTorch."""
    shape = op["x"].type.shape
    named = op.axes("axes", len(shape))
    axes = [
        axis for axis, size in enumerate(shape) if size == 1 and (named is None or axis in named)
    ]
    if len(shape) - len(axes) != op.result.rank:  # an open dimension is one of those that go
        axes = named or []
        if len(shape) - len(axes) != op.result.rank:
            raise op.unsupported("axes", "it is open whether a dimension is one")
    return graph.node("Squeeze", op.tensor("x"), graph.ints(axes)) if axes else op.tensor("x")


@lowers("reverse", "x", axes=None, exact=True)
def reverse(graph: Graph, op: Call) -> str:
    """Turn axes around, all of them by default."""
    rank = op["x"].type.rank
    axes = op.axes("axes", rank)
    axes = list(range(rank)) if axes is None else axes
    minus, end = [-1] * len(axes), [-END] * len(axes)
    return graph.node("Slice", op.tensor("x"), *(graph.ints(v) for v in (minus, end, axes, minus)))


@lowers("reverse_sequence", "x", "lengths", seq_axis=0, batch_axis=0, exact=True)
def reverse_sequence(graph: Graph, op: Call) -> str:
    """Turn the first `lengths[b]` elements along `seq_axis` around, for each b along `batch_axis`."""
    rank = op["x"].type.rank
    time, batch = op.axis("seq_axis", rank), op.axis("batch_axis", rank)
    if time == batch:
        raise op.unsupported("seq_axis", "it equals batch_axis")
    order = [
        time,
        batch,
        *(a for a in range(rank) if a not in (time, batch)),
    ]  # ONNX wants them in front
    turned = graph.node(
        "ReverseSequence",
        graph.transpose(op.tensor("x"), order),
        graph.cast(op.tensor("lengths"), "int64"),
        time_axis=0,
        batch_axis=1,
    )
    return graph.transpose(turned, [int(i) for i in np.argsort(order)])


def _flags(op: Call, parameter: str, rank: int) -> list[bool]:
    found = op.constant(parameter)
    return [False] * rank if found is None else [bool(f) for f in np.atleast_1d(found)]


def _bounds(graph: Graph, op: Call) -> tuple[str, str, list[int], list[bool]]:
    """begin, end and strides of a slice as ONNX wants them, and which axes are squeezed away.

    A masked begin or end means "from the first" or "to the last" in the direction of the stride. An
    axis that is squeezed keeps the one element at `begin`; of that, only -1 needs care: -1 + 1 is 0.
    """
    rank = op["x"].type.rank
    strides = op.integers("stride") or [1] * rank
    first, last, squeeze_ = (
        _flags(op, p, rank) for p in ("begin_mask", "end_mask", "squeeze_mask")
    )
    from_first = [0 if s > 0 else END for s in strides]
    to_last = [END if s > 0 else -END for s in strides]
    if op["begin"].is_constant and op["end"].is_constant:
        begin, end = op.integers("begin") or [], op.integers("end") or []
        begin = [
            f if m and not q else b
            for b, m, f, q in zip(begin, first, from_first, squeeze_, strict=True)
        ]
        end = [t if m else e for e, m, t in zip(end, last, to_last, strict=True)]
        end = [
            (END if b == -1 else b + 1) if q else e
            for b, e, q in zip(begin, end, squeeze_, strict=True)
        ]
        return graph.ints(begin), graph.ints(end), _forward(strides, squeeze_), squeeze_
    start, stop = op.int64("begin"), op.int64("end")

    def chosen(flags: list[bool], values: str, otherwise: str) -> str:
        if not any(flags):
            return otherwise
        return graph.node("Where", graph.constant(np.array(flags)), values, otherwise)

    masked = [m and not q for m, q in zip(first, squeeze_, strict=True)]
    start = chosen(masked, graph.ints(from_first), start)
    stop = chosen(last, graph.ints(to_last), stop)
    if any(squeeze_):
        one = graph.node("Add", start, graph.ints([1]))
        one = graph.node("Where", graph.node("Equal", one, graph.ints([0])), graph.ints([END]), one)
        stop = chosen(squeeze_, one, stop)
    return start, stop, _forward(strides, squeeze_), squeeze_


def _forward(strides: Sequence[int], squeezed: Sequence[bool]) -> list[int]:
    """Where one element is taken the stride has no meaning; a negative one would give none."""
    return [1 if q else s for s, q in zip(strides, squeezed, strict=True)]


def _sliced(graph: Graph, op: Call, name: str) -> str:
    begin, end, strides, squeezed = _bounds(graph, op)
    rank = len(strides)
    name = graph.node("Slice", name, begin, end, graph.ints(range(rank)), graph.ints(strides))
    gone = [axis for axis in range(rank) if squeezed[axis]]
    return graph.node("Squeeze", name, graph.ints(gone)) if gone else name


@lowers(
    "slice_by_index", "x", "begin", "end",
    stride=None, begin_mask=None, end_mask=None, squeeze_mask=None, exact=True,
)  # fmt: skip
def slice_by_index(graph: Graph, op: Call) -> str:
    """x[begin : end : stride] per axis, in numpy's sense of negative numbers."""
    return _sliced(graph, op, op.tensor("x"))


@lowers(
    "slice_update", "x", "update", "begin", "end",
    stride=None, begin_mask=None, end_mask=None, squeeze_mask=None, exact=True,
)  # fmt: skip
def slice_update(graph: Graph, op: Call) -> str:
    """Gives x with x[begin : end : stride] replaced by `update`.

    The positions of the slice are found by slicing the positions of all elements.
    """
    shape = op["x"].type.shape
    sizes = [d for d in shape if d is not None]
    if len(sizes) != len(shape):
        raise op.unsupported("x", "its shape is open")
    count = math.prod(sizes)
    positions = graph.constant(np.arange(count, dtype=np.int64).reshape(sizes))
    flat = graph.ints([-1])
    where = graph.node("Reshape", _sliced(graph, op, positions), flat)
    updated = graph.node(
        "ScatterElements",
        graph.node("Reshape", op.tensor("x"), flat),
        where,
        graph.node("Reshape", op.tensor("update"), flat),
    )
    return graph.node("Reshape", updated, graph.ints(sizes))


@lowers("slice_by_size", "x", "begin", "size", exact=True)
def slice_by_size(graph: Graph, op: Call) -> str:
    """`size` elements from `begin` on, per axis; a size of -1 takes all that remain."""
    rank = op["x"].type.rank
    end: str
    if op["begin"].is_constant and op["size"].is_constant:
        begin, size = op.integers("begin") or [], op.integers("size") or []
        stops = [b + s for b, s in zip(begin, size, strict=True)]
        stops = [
            END if s == -1 or (b < 0 <= e) else e
            for b, s, e in zip(begin, size, stops, strict=True)
        ]
        return graph.node(
            "Slice", op.tensor("x"), *(graph.ints(v) for v in (begin, stops, range(rank)))
        )
    start, length = op.int64("begin"), op.int64("size")
    end = graph.node("Add", start, length)
    zero, far = graph.ints([0]), graph.ints([END])
    # From a negative begin up to the last element the sum is 0, which would mean the first.
    wraps = graph.node(
        "And", graph.node("Less", start, zero), graph.node("GreaterOrEqual", end, zero)
    )
    to_last = graph.node("Or", wraps, graph.node("Equal", length, graph.ints([-1])))
    end = graph.node("Where", to_last, far, end)
    return graph.node("Slice", op.tensor("x"), start, end, graph.ints(range(rank)))


@lowers("depth_to_space", "x", "block_size", exact=True)
def depth_to_space(graph: Graph, op: Call) -> str:
    """Channels to blocks of pixels, the block's place being the slowest part of the channel."""
    return graph.node(
        "DepthToSpace", op.tensor("x"), blocksize=op.integer("block_size"), mode="DCR"
    )


@lowers("space_to_depth", "x", "block_size", exact=True)
def space_to_depth(graph: Graph, op: Call) -> str:
    """Blocks of pixels to channels, the inverse of `depth_to_space`."""
    return graph.node("SpaceToDepth", op.tensor("x"), blocksize=op.integer("block_size"))


@lowers("pixel_shuffle", "x", "upscale_factor", exact=True)
def pixel_shuffle(graph: Graph, op: Call) -> str:
    """Channels to blocks of pixels, the block's place being the fastest part of the channel."""
    return graph.node(
        "DepthToSpace", op.tensor("x"), blocksize=op.integer("upscale_factor"), mode="CRD"
    )


def _sizes(op: Call) -> list[int]:
    """Dimensions of x after the first."""
    shape = op["x"].type.shape[1:]
    sizes = [d for d in shape if d is not None]
    if len(sizes) != len(shape):
        raise op.unsupported("x", "its shape is open")
    return sizes


@lowers("pixel_unshuffle", "x", "downscale_factor", exact=True)
def pixel_unshuffle(graph: Graph, op: Call) -> str:
    """Blocks of pixels to channels, the inverse of `pixel_shuffle`."""
    channels, height, width = _sizes(op)
    f = op.integer("downscale_factor")
    split = graph.ints([-1, channels, height // f, f, width // f, f])
    moved = graph.transpose(graph.node("Reshape", op.tensor("x"), split), [0, 1, 3, 5, 2, 4])
    return graph.node("Reshape", moved, graph.ints([-1, channels * f * f, height // f, width // f]))


@lowers("space_to_batch", "x", "block_shape", "paddings", exact=True)
def space_to_batch(graph: Graph, op: Call) -> str:
    """Zero-pad, then move the pixels of each place within a block to a batch of its own."""
    channels, height, width = _sizes(op)
    down, right = op.integers("block_shape") or []
    (top, bottom), (left, after) = np.asarray(op.constant("paddings")).tolist()
    padded = graph.node("Pad", op.tensor("x"), graph.ints([0, 0, top, left, 0, 0, bottom, after]))
    rows, columns = (height + top + bottom) // down, (width + left + after) // right
    split = graph.ints([-1, channels, rows, down, columns, right])
    moved = graph.transpose(graph.node("Reshape", padded, split), [3, 5, 0, 1, 2, 4])
    return graph.node("Reshape", moved, graph.ints([-1, channels, rows, columns]))


@lowers("batch_to_space", "x", "block_shape", "crops", exact=True)
def batch_to_space(graph: Graph, op: Call) -> str:
    """The inverse of `space_to_batch`: interleave the batches, then crop."""
    channels, height, width = _sizes(op)
    down, right = op.integers("block_shape") or []
    (top, bottom), (left, after) = np.asarray(op.constant("crops")).tolist()
    split = graph.ints([down, right, -1, channels, height, width])
    moved = graph.transpose(graph.node("Reshape", op.tensor("x"), split), [2, 3, 4, 0, 5, 1])
    rows, columns = height * down, width * right
    whole = graph.node("Reshape", moved, graph.ints([-1, channels, rows, columns]))
    return graph.node(
        "Slice",
        whole,
        graph.ints([top, left]),
        graph.ints([rows - bottom, columns - after]),
        graph.ints([2, 3]),
    )


@lowers("sliding_windows", "x", "axis", "size", stride=1, exact=True)
def sliding_windows(graph: Graph, op: Call) -> str:
    """All windows of `size` elements along an axis, on a new axis behind it."""
    axis = op.axis("axis", op["x"].type.rank)
    length, size, stride = op["x"].type.shape[axis], op.integer("size"), op.integer("stride")
    if length is None:
        raise op.unsupported("axis", "its dimension is open")
    starts = np.arange((length - size) // stride + 1) * stride
    windows = (starts[:, None] + np.arange(size)).astype(np.int64)
    return graph.node("Gather", op.tensor("x"), graph.constant(windows), axis=axis)
