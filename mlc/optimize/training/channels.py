"""Which channels of a network belong together: what must go if one of them goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc.convert.graph import Body, attribute
from mlc.optimize.passes.linear import Linear, linears

__all__ = ["Channels", "Group", "Slice", "trace"]

Array = np.ndarray[Any, np.dtype[Any]]

# Ops that work on each value, or within each channel.
_WITHIN = frozenset({
    "Identity", "Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Sigmoid", "Tanh", "Softplus", "Softsign",
    "Exp", "Log", "Log1p", "Expm1", "Neg", "Abs", "Sqrt", "Rsqrt", "Square", "Erf", "Rint", "Round",
    "MaxPool", "AvgPool", "ResizeBilinear", "ResizeNearestNeighbor",
})  # fmt: skip
_ADDS = frozenset({"AddV2", "Add", "Sub", "AddN", "Maximum", "Minimum", "SquaredDifference"})
_MULTIPLIES = frozenset({"Mul", "RealDiv", "DivNoNan", "Pow"})
_DEEP = ("Conv2DBackpropInput", "Conv3DBackpropInputV2")


@dataclass(frozen=True)
class Slice:
    """A constant with one entry for each channel along `axis`; `ids` name the channels."""

    constant: str
    axis: int
    ids: Array
    role: str  # "out" or "in" of a linear op, "depthwise", or "" for biases and the like


@dataclass(frozen=True)
class Group:
    """Channels that are made by one linear op and nowhere added to those of another.

    `classes` are sets of ids, each of which goes as a whole.
    """

    producer: str
    classes: tuple[int, ...]


class Channels:
    """Ids of the channels along the last axis of every tensor. State: which ids are tied together."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self.pinned: set[int] = set()  # ids that something depends on which is not understood
        self.added: set[int] = set()  # ids of a residual stream
        self.slices: list[Slice] = []
        self.reshapes: dict[str, Array] = {}  # constants of shapes → ids of their last dimension
        self.producers: dict[int, str] = {}  # id → the linear op that makes it

    def new(self, count: int) -> Array:
        """Fresh ids."""
        start = len(self._parent)
        self._parent += range(start, start + count)
        return np.arange(start, start + count)

    def root(self, channel: int) -> int:
        """The one id that stands for all that it is tied to."""
        while self._parent[channel] != channel:
            self._parent[channel] = self._parent[self._parent[channel]]
            channel = self._parent[channel]
        return channel

    def roots(self, ids: Array) -> Array:
        """Of each."""
        return np.array([self.root(int(i)) for i in ids], int)

    def tie(self, one: Array, other: Array) -> None:
        """Channel by channel: they go together."""
        for a, b in zip(one, other, strict=True):
            self._parent[self.root(int(a))] = self.root(int(b))

    def pin(self, ids: Array | None) -> None:
        """They stay."""
        if ids is not None:
            self.pinned |= {int(i) for i in ids}

    def groups(self) -> list[Group]:
        """All that can lose channels, in the order of computation."""
        fixed = {self.root(i) for i in self.pinned | self.added}
        made: dict[int, set[str]] = defaultdict(set)
        for channel, producer in self.producers.items():
            made[self.root(channel)].add(producer)
        found: dict[str, list[int]] = defaultdict(list)
        for root, producers in made.items():
            if root not in fixed:
                # Two where a gate multiplies the channels, as in squeeze and excitation.
                found[min(producers, key=list(self.producers.values()).index)].append(root)
        return [Group(producer, tuple(classes)) for producer, classes in found.items()]


def trace(body: Body) -> Channels:
    """Follow the channels of every linear op to all that depend on them (Fang et al. 2023, DepGraph).

    ::

        Conv2D(out: a b c) ─► BiasAdd(a b c) ─► Relu ─► DepthwiseConv2d(a b c) ─► Conv2D(in: a b c)

    Channels that are added to those of another op, as on a residual connection, stay: without them
    every block of the stream would have to agree. So do those that an op reads which is not known here.
    """
    channels = Channels()
    ids: dict[str, Array] = {}
    ops = {op.node.name: op for op in linears(body)}
    for node in body.in_order():
        if node.op == "Const":
            continue
        shape = body.shape(node.name)
        width = shape[-1] if shape else None
        found = _of_node(body, channels, ids, node, ops.get(node.name))
        if found is None:
            for reference in node.input:
                channels.pin(ids.get(reference))
            if width:
                found = channels.new(width)
                channels.pin(found)
        if found is not None:
            ids[node.name] = found
    for output in body.outputs:
        channels.pin(ids.get(output))
    _settle(channels)
    return channels


def _of_node(
    body: Body, channels: Channels, ids: Mapping[str, Array], node: Any, op: Linear | None
) -> Array | None:
    """Ids of a node's output; None where it is not understood."""
    if op is not None:
        return _of_linear(body, channels, ids, op)
    if node.op in ("BiasAdd", *_ADDS, *_MULTIPLIES) or node.op.startswith("FusedBatchNorm"):
        return _of_elementwise(body, channels, ids, node)
    if not node.input or ids.get(node.input[0]) is None:
        return None
    own = ids[node.input[0]]
    if attribute(node, "data_format").s not in (b"", b"NHWC"):
        return None
    if node.op in _WITHIN:
        return own
    if node.op in ("Pad", "PadV2", "MirrorPad"):
        paddings = body.value(node.input[1])
        return own if paddings is not None and not paddings[-1].any() else None
    if node.op in ("SpaceToBatchND", "BatchToSpaceND"):
        return (
            own
            if len(body.shape(node.input[0]) or ()) > body.value(node.input[1]).size + 1
            else None
        )
    if node.op in ("Mean", "Max", "Min", "Sum"):
        axes, rank = body.value(node.input[1]), len(body.shape(node.input[0]) or ())
        last = axes is None or (axes.reshape(-1) % rank == rank - 1).any()
        return None if last else own
    if node.op == "ConcatV2":
        return _of_concat(body, ids, node)
    if node.op in ("Reshape", "Squeeze", "ExpandDims"):
        return _of_reshape(body, channels, own, node)
    return None


def _of_linear(
    body: Body, channels: Channels, ids: Mapping[str, Array], op: Linear
) -> Array | None:
    own = ids.get(op.data)
    values = body.constant_value(op.kernel)
    if own is None or op.shared or ":" in op.data:
        return None
    if values.shape[op.input_axis] != len(own):
        return None  # a grouped convolution
    if op.depthwise:
        channels.slices.append(Slice(op.kernel, 2, own, "depthwise"))
        return np.repeat(own, values.shape[3])
    made = channels.new(values.shape[op.output_axes[0]])
    if op.node.op in _DEEP:  # the shape of its output is an input
        sizes = body.producer(op.node.input[0])
        if sizes.op != "Const" or len(body.consumers(sizes.name)) > 1:
            return None
        channels.reshapes[sizes.name] = made
    channels.producers |= {int(i): op.node.name for i in made}
    channels.slices.append(Slice(op.kernel, op.input_axis, own, "in"))
    channels.slices.append(Slice(op.kernel, op.output_axes[0], made, "out"))
    return made


def _of_elementwise(
    body: Body, channels: Channels, ids: Mapping[str, Array], node: Any
) -> Array | None:
    """One id each for channels that are combined; constants for each channel are cut with them."""
    if attribute(node, "data_format").s not in (b"", b"NHWC"):
        return None
    tensors = [i for i in node.input if body.value(i) is None]
    if any(ids.get(i) is None for i in tensors):
        return None
    shape = body.shape(node.name)
    wide = [ids[i] for i in tensors if shape and len(ids[i]) == shape[-1]]
    if not wide or any(len(ids[i]) not in (1, len(wide[0])) for i in tensors):
        return None
    for i in tensors:
        if len(ids[i]) == 1 < len(wide[0]):
            channels.pin(ids[i])  # what is spread over all channels
    for other in wide[1:]:
        if node.op not in _MULTIPLIES and (channels.roots(wide[0]) != channels.roots(other)).any():
            channels.added |= {int(i) for i in (*wide[0], *other)}
        channels.tie(wide[0], other)
    for reference in node.input:
        values = body.value(reference)
        if values is None or values.ndim == 0 or values.shape[-1] == 1:
            continue
        if values.shape[-1] != len(wide[0]):
            return None
        name = body.producer(reference).name
        channels.slices.append(Slice(name, values.ndim - 1, wide[0], ""))
    return wide[0]


def _of_concat(body: Body, ids: Mapping[str, Array], node: Any) -> Array | None:
    *parts, axis = node.input
    rank = len(body.shape(node.name) or ())
    along = body.value(axis)
    if along is None or int(along) % rank != rank - 1 or any(ids.get(p) is None for p in parts):
        return None
    return np.concatenate([ids[p] for p in parts])


def _of_reshape(body: Body, channels: Channels, own: Array, node: Any) -> Array | None:
    before, after = body.shape(node.input[0]), body.shape(node.name)
    if not before or not after or None in before[1:] or None in after[1:]:
        return None
    if after[-1] == before[-1]:
        found = own
    elif len(after) == 2 and after[-1] == int(np.prod(before[1:])):  # type: ignore[arg-type]
        found = np.tile(own, int(np.prod(before[1:-1])))  # type: ignore[arg-type]  # flattened
    else:
        return None
    if node.op == "Reshape":
        sizes = body.producer(node.input[1])
        if sizes.op != "Const" or len(body.consumers(sizes.name)) > 1:
            return None
        channels.reshapes[sizes.name] = found
    return found


def _settle(channels: Channels) -> None:
    """A constant that is cut in two ways along one axis stays whole."""
    seen: dict[tuple[str, int], Array] = {}
    for piece in channels.slices:
        roots = channels.roots(piece.ids)
        other = seen.setdefault((piece.constant, piece.axis), roots)
        if other is not roots and (len(other) != len(roots) or (other != roots).any()):
            channels.pin(piece.ids)
            channels.pin(other)


def kept(channels: Channels, ids: Sequence[int] | Array, gone: set[int]) -> Array:
    """Positions of the ids that stay."""
    return np.flatnonzero([channels.root(int(i)) not in gone for i in ids])
