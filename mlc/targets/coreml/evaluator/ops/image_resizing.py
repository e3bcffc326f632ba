"""MIL `image_resizing`.

Where the sizes are known, every output position is computed here by the formulas of MIL's
documentation of `resize_bilinear`, in float64, and each axis is interpolated by two look-ups and a
weighted sum. Only for open sizes ONNX's Resize is used, in the modes that it shares with MIL.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlc.targets.coreml.evaluator.lowering import Call, Graph, lowers

__all__: list[str] = []

Positions = NDArray[np.float64]


def _positions(mode: str, before: int, after: int) -> Positions | None:
    """Where each of `after` output elements lies among `before` input elements; None: unknown mode."""
    index = np.arange(after, dtype=np.float64)
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        if after == 1:
            found = np.array([(before - 1) / 2 if mode == "ALIGN_CORNERS" else 0.0])
        else:
            found = index * (before - 1) / (after - 1)
    elif mode == "DEFAULT":
        found = index * before / after
    elif mode == "OFFSET_CORNERS":
        delta = max(1, before - 1) / after
        found = 0.5 * delta + index * delta
    elif mode == "UNALIGN_CORNERS":
        found = (index + 0.5) * before / after - 0.5
    else:
        return None
    return np.clip(found, 0, before - 1)


def _along(rank: int, axis: int, values: NDArray[np.float32]) -> NDArray[np.float32]:
    shape = [1] * rank
    shape[axis] = -1
    return values.reshape(shape)


def _linear(graph: Graph, name: str, rank: int, axis: int, where: Positions, size: int) -> str:
    """Interpolate one axis of `size` elements linearly at the given positions."""
    low = np.floor(where).astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    weight = (where - low).astype(np.float32)
    if not weight.any():
        if where.size == size and (low == np.arange(size)).all():
            return name
        return graph.node("Gather", name, graph.constant(low), axis=axis)
    parts = [
        graph.node(
            "Mul",
            graph.node("Gather", name, graph.constant(at), axis=axis),
            graph.constant(_along(rank, axis, share)),
        )
        for at, share in ((low, 1 - weight), (high, weight))
    ]
    return graph.node("Add", *parts)


def _bilinear(graph: Graph, op: Call, mode: str, height: int, width: int) -> str:
    """Resize the last two axes."""
    name, shape = op.tensor("x"), op["x"].type.shape
    rank = len(shape)
    for axis, target in ((rank - 2, height), (rank - 1, width)):
        size = shape[axis]
        if size is None:
            return _resize(graph, op, mode, [height, width], None)
        where = _positions(mode, size, target)
        if where is None:
            raise op.unsupported("sampling_mode", mode)
        name = _linear(graph, name, rank, axis, where, size)
    return name


# MIL's sampling modes that ONNX's Resize has.
_ONNX_MODES = {
    "DEFAULT": "asymmetric",
    "STRICT_ALIGN_CORNERS": "align_corners",
    "UNALIGN_CORNERS": "half_pixel",
}


def _resize(
    graph: Graph, op: Call, mode: str, sizes: Sequence[int] | None, scales: Sequence[float] | None
) -> str:
    """ONNX's Resize of the last two axes, for inputs of open size."""
    if mode not in _ONNX_MODES:
        raise op.unsupported("sampling_mode", f"{mode} with an input of open size")
    x, rank = op.tensor("x"), op["x"].type.rank
    options = {"mode": "linear", "coordinate_transformation_mode": _ONNX_MODES[mode]}
    if scales is not None:
        factors = graph.constant(np.array([1.0] * (rank - 2) + list(scales), np.float32))
        return graph.node("Resize", x, "", factors, **options)
    target = graph.node("Concat", graph.shape(x, 0, rank - 2), graph.ints(sizes or []), axis=0)
    return graph.node("Resize", x, "", "", target, **options)


@lowers("resize_bilinear", "x", target_size_height=1, target_size_width=1, sampling_mode="DEFAULT")
def resize_bilinear(graph: Graph, op: Call) -> str:
    """Resize the last two axes to a given size by bilinear interpolation."""
    height, width = op.integer("target_size_height"), op.integer("target_size_width")
    return _bilinear(graph, op, op.text("sampling_mode"), height, width)


@lowers(
    "upsample_bilinear", "x",
    scale_factor_height=1, scale_factor_width=1, align_corners=True, half_pixel_centers=None,
)  # fmt: skip
def upsample_bilinear(graph: Graph, op: Call) -> str:
    """Scale the last two axes by bilinear interpolation.

    The output has ⌊size · scale⌋ elements, and the scale is then recomputed from that.
    """
    aligned = op.flag("align_corners")
    centred = op.flag("half_pixel_centers") if "half_pixel_centers" in op else not aligned
    if aligned and centred:
        raise op.unsupported("half_pixel_centers", "together with align_corners")
    mode = "STRICT_ALIGN_CORNERS" if aligned else "UNALIGN_CORNERS" if centred else "DEFAULT"
    scales = op.number("scale_factor_height"), op.number("scale_factor_width")
    height, width = op["x"].type.shape[-2:]
    if height is None or width is None:
        if any(s != int(s) for s in scales):
            raise op.unsupported("scale_factor_height", "a fraction, with an input of open size")
        return _resize(graph, op, mode, None, scales)
    return _bilinear(graph, op, mode, int(height * scales[0]), int(width * scales[1]))


def _nearest(graph: Graph, op: Call, height: int, width: int, offset: float) -> str:
    """Choose input element ⌊(i + offset) · before / after⌋ for output element i of the last two axes.

    MIL documents no offset. Apple's TensorFlow frontend turns TensorFlow's nearest neighbour with half
    pixel centres into `resize_nearest_neighbor` and the one without into `upsample_nearest_neighbor`;
    the golden output of iOS 17's `resize`, a superset of the former, has the half pixel too.
    """
    name, shape = op.tensor("x"), op["x"].type.shape
    for axis, target in ((len(shape) - 2, height), (len(shape) - 1, width)):
        size = shape[axis]
        if size is None:
            raise op.unsupported("x", "its height or width is open")
        if target != size:
            chosen = np.floor((np.arange(target) + offset) * size / target).astype(np.int64)
            name = graph.node("Gather", name, graph.constant(chosen), axis=axis)
    return name


@lowers("resize_nearest_neighbor", "x", "target_size_height", "target_size_width", exact=True)
def resize_nearest_neighbor(graph: Graph, op: Call) -> str:
    """Resize the last two axes to a given size by choosing elements."""
    height, width = op.integer("target_size_height"), op.integer("target_size_width")
    return _nearest(graph, op, height, width, 0.5)


@lowers("upsample_nearest_neighbor", "x", scale_factor_height=1, scale_factor_width=1, exact=True)
def upsample_nearest_neighbor(graph: Graph, op: Call) -> str:
    """Scale the last two axes by choosing elements."""
    scales = op.number("scale_factor_height"), op.number("scale_factor_width")
    height, width = op["x"].type.shape[-2:]
    if height is None or width is None:
        if any(s != int(s) for s in scales):
            raise op.unsupported("scale_factor_height", "a fraction, with an input of open size")
        rank = op["x"].type.rank
        factors = graph.constant(np.array([1.0] * (rank - 2) + list(scales), np.float32))
        return graph.node(
            "Resize", op.tensor("x"), "", factors,
            mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip
    return _nearest(graph, op, int(height * scales[0]), int(width * scales[1]), 0.0)


@lowers(
    "resize", "x", "shape", "resized_dims", interpolation_mode="LINEAR", sampling_mode="DEFAULT"
)
def resize(graph: Graph, op: Call) -> str:
    """Resize the last two axes to the last two numbers of `shape`, where 0 keeps the size.

    MIL allows any number of axes; only two are implemented. Choosing elements is only known for the
    sampling mode "DEFAULT", from Apple's tests.
    """
    if op.integer("resized_dims") != 2:
        raise op.unsupported("resized_dims", "other than 2")
    kind, mode, rank = op.text("interpolation_mode"), op.text("sampling_mode"), op["x"].type.rank
    if kind not in ("LINEAR", "NEAREST_NEIGHBOR"):
        raise op.unsupported("interpolation_mode", kind)
    nearest = kind == "NEAREST_NEIGHBOR"
    if nearest and mode != "DEFAULT":
        raise op.unsupported("sampling_mode", f"{mode} for NEAREST_NEIGHBOR")
    known = op["x"].type.shape[-2:]
    if op["shape"].is_constant and None not in known:
        asked = (op.integers("shape") or [])[-2:]
        height, width = (a or k or 0 for a, k in zip(asked, known, strict=True))
        if nearest:
            return _nearest(graph, op, height, width, 0.5)
        return _bilinear(graph, op, mode, height, width)
    if mode not in _ONNX_MODES:
        raise op.unsupported("sampling_mode", f"{mode} with open sizes")
    x = op.tensor("x")
    asked_now = graph.node("Slice", op.int64("shape"), graph.ints([-2]), graph.ints([2**31 - 1]))
    keep = graph.node("Equal", asked_now, graph.ints([0]))
    sizes = graph.node("Where", keep, graph.shape(x, rank - 2), asked_now)
    target = graph.node("Concat", graph.shape(x, 0, rank - 2), sizes, axis=0)
    if nearest:  # ⌊(i + ½) · before / after⌋ is the half-pixel position, rounded half up
        return graph.node(
            "Resize", x, "", "", target,
            mode="nearest", coordinate_transformation_mode="half_pixel",
            nearest_mode="round_prefer_ceil",
        )  # fmt: skip
    return graph.node(
        "Resize", x, "", "", target,
        mode="linear", coordinate_transformation_mode=_ONNX_MODES[mode],
    )  # fmt: skip


@lowers("crop", "x", "crop_height", "crop_width", exact=True)
def crop(graph: Graph, op: Call) -> str:
    """Cut from the borders of the last two axes."""
    (top, bottom), (left, right) = op.integers("crop_height") or [], op.integers("crop_width") or []
    far = 2**31 - 1
    return graph.node(
        "Slice",
        op.tensor("x"),
        graph.ints([top, left]),
        graph.ints([-bottom if bottom else far, -right if right else far]),
        graph.ints([-2, -1]),
    )
