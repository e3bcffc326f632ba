"""MIL `image_resizing`, the ops that look anywhere in a picture: ONNX's GridSample.

GridSample measures places in shares of the picture. Here they are first computed in pixels, as MIL's
documentation has them: 0 is the centre of the first one.
"""

from __future__ import annotations

import numpy as np

from mlc.targets.coreml.evaluator.lowering import Call, Graph, lowers

__all__: list[str] = []


@lowers(
    "resample", "x", "coordinates", "sampling_mode", "padding_mode", "padding_value",
    "coordinates_mode", "align_corners",
)  # fmt: skip
def resample(graph: Graph, op: Call) -> str:
    """The picture at given places, by bilinear interpolation or the nearest pixel."""
    x, places = op.tensor("x"), graph.cast(op.tensor("coordinates"), "float32")
    mode = {"bilinear": "linear", "nearest": "nearest"}.get(op.text("sampling_mode").lower())
    padding, unit = op.text("padding_mode").lower(), op.text("coordinates_mode").lower()
    if mode is None:
        raise op.unsupported("sampling_mode", op.text("sampling_mode"))
    if padding not in ("constant", "border", "reflection", "symmetric"):
        raise op.unsupported("padding_mode", padding)
    if padding == "reflection" and 1 in op["x"].type.shape[2:]:
        raise op.unsupported("padding_mode", "reflection of a single row or column")
    if unit == "normalized_minus_one_to_one":
        places = _halved(graph, places)
    elif unit not in ("normalized_zero_to_one", "unnormalized"):
        raise op.unsupported("coordinates_mode", unit)
    if unit == "unnormalized":
        op.irrelevant("align_corners")
    else:
        places = _in_pixels(graph, x, places, op.flag("align_corners"))
    if padding == "constant":
        around = op.scalar("padding_value")  # GridSample's is always zero
        found = _sample(graph, graph.node("Sub", x, around), places, mode, "zeros")
        return graph.node("Add", found, around)
    op.irrelevant("padding_value")
    if padding != "border":
        places = _mirrored(graph, x, places, on_centres=padding == "reflection")
    return _sample(graph, x, places, mode, "border")


@lowers(
    "affine", "x", "transform_matrix", "output_height", "output_width", "sampling_mode",
    "padding_mode", "padding_value", "coordinates_mode", "align_corners",
)  # fmt: skip
def affine(graph: Graph, op: Call) -> str:
    """The picture at (a0·x + a1·y + a2, b0·x + b1·y + b2), x and y from -1 to 1 over the result."""
    for parameter, only in (
        ("sampling_mode", "bilinear"), ("padding_mode", "constant"),
        ("coordinates_mode", "normalized_minus_one_to_one"),
    ):  # fmt: skip
        if op.text(parameter).lower() != only:
            raise op.unsupported(parameter, op.text(parameter))
    if op.number("padding_value") != 0:
        raise op.unsupported("padding_value", "other than 0")
    if not op.flag("align_corners"):
        raise op.unsupported("align_corners", "false")
    x, height, width = op.tensor("x"), op.integer("output_height"), op.integer("output_width")
    for parameter, size in (("output_height", height), ("output_width", width)):
        if size == 1:
            raise op.unsupported(parameter, "of one pixel")
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    grid = np.stack([across, down, np.ones_like(across)]).reshape(3, -1).astype(np.float32)
    matrix = graph.node("Reshape", op.tensor("transform_matrix"), graph.ints([-1, 2, 3]))
    rows = graph.node("MatMul", matrix, graph.constant(grid))  # [1 or n, (x, y), pixels]
    batch = graph.node("Concat", graph.shape(x, 0, 1), graph.ints([2, height * width]), axis=0)
    rows = graph.transpose(graph.node("Expand", rows, batch), (0, 2, 1))
    places = graph.node("Reshape", rows, graph.ints([-1, height, width, 2]))
    return _sample(graph, x, _in_pixels(graph, x, _halved(graph, places), True), "linear", "zeros")


@lowers(
    "crop_resize", "x", roi=None, boxes=None, box_indices=None, target_height=1, target_width=1,
    normalized_coordinates=False, spatial_scale=1.0, box_coordinate_mode="CORNERS_HEIGHT_FIRST",
    sampling_mode="DEFAULT", pad_value=0.0,
)  # fmt: skip
def crop_resize(graph: Graph, op: Call) -> str:
    """Boxes of the picture, each resized; what lies outside of the picture is `pad_value`.

    Until iOS 16 the boxes are `roi` [n, 1, 4 or 5, 1, 1], where a fifth number in front is the index of
    the picture; of several pictures coremltools declares another result than it documents. How boxes
    are sampled is only known for corners that align.
    """
    if op.text("sampling_mode") not in ("ALIGN_CORNERS", "STRICT_ALIGN_CORNERS"):
        raise op.unsupported("sampling_mode", op.text("sampling_mode"))
    x, height, width = op.tensor("x"), op.integer("target_height"), op.integer("target_width")
    boxes, pictures = _boxes(graph, op)
    low, high = _corners(graph, op, x, boxes)  # [n, (x, y)]
    middle = 0.5 if op.text("sampling_mode") == "ALIGN_CORNERS" else 0.0
    across, down = (
        np.linspace(0, 1, size) if size > 1 else np.array([middle]) for size in (width, height)
    )
    shares = np.stack(np.meshgrid(across, down), axis=-1)[None].astype(np.float32)
    axes = graph.ints([1, 2])  # [n, 2] to [n, 1, 1, 2]
    start, end = (graph.node("Unsqueeze", corner, axes) for corner in (low, high))
    way = graph.node("Mul", graph.node("Sub", end, start), graph.constant(shares))
    places = graph.node("Add", start, way)  # [n, height, width, (x, y)]
    found = _sample(graph, graph.node("Gather", x, pictures, axis=0), places, "linear", "border")
    inside = graph.node(
        "And",
        graph.node("GreaterOrEqual", places, _number(graph, 0)),
        graph.node("LessOrEqual", places, _last(graph, x)),
    )
    both = graph.node("ReduceMin", graph.cast(inside, "int32"), graph.ints([3]), keepdims=0)
    both = graph.cast(graph.node("Unsqueeze", both, graph.ints([1])), "bool")
    result = graph.node("Where", both, found, op.scalar("pad_value"))
    return graph.node("Unsqueeze", result, graph.ints([1])) if "roi" in op else result


def _boxes(graph: Graph, op: Call) -> tuple[str, str]:
    """The boxes [n, 4], and the index of the picture that each is cut from [n]."""
    if "roi" not in op:
        boxes = graph.cast(op.tensor("boxes"), "float32")
        if "box_indices" in op:
            return boxes, op.int64("box_indices")
        count = graph.node("Squeeze", graph.shape(boxes, 0, 1))
        zero, one = (graph.constant(np.int64(i)) for i in (0, 1))
        return boxes, graph.node("Range", zero, count, one)
    if op["x"].type.shape[0] != 1:
        raise op.unsupported("roi", "its declared result is not the documented one if x is a batch")
    numbers = op["roi"].type.shape[2] or 0
    boxes = graph.node("Reshape", op.tensor("roi"), graph.ints([-1, numbers]))
    if numbers == 5:
        _, boxes = graph.nodes("Split", 2, boxes, graph.ints([1, 4]), axis=1)
    return boxes, graph.node("Expand", graph.constant(np.int64(0)), graph.shape(boxes, 0, 1))


def _corners(graph: Graph, op: Call, x: str, boxes: str) -> tuple[str, str]:
    """The first and the last corner of each box [n, (x, y)] in pixels."""
    mode = op.text("box_coordinate_mode")
    first, second = graph.nodes("Split", 2, boxes, graph.ints([2, 2]), axis=1)
    if mode.endswith("HEIGHT_FIRST"):
        order = graph.ints([1, 0])
        first, second = (graph.node("Gather", c, order, axis=1) for c in (first, second))
    elif not mode.endswith("WIDTH_FIRST"):
        raise op.unsupported("box_coordinate_mode", mode)
    if mode.startswith("CENTER_SIZE"):
        half = graph.node("Mul", second, _number(graph, 0.5))
        first, second = graph.node("Sub", first, half), graph.node("Add", first, half)
    scale = op.scalar("spatial_scale")
    if op.flag("normalized_coordinates"):
        scale = graph.node("Mul", scale, _last(graph, x))
    return graph.node("Mul", first, scale), graph.node("Mul", second, scale)


def _sample(graph: Graph, picture: str, pixels: str, mode: str, around: str) -> str:
    """The picture [n, c, H, W] at places [n, h, w, (x, y)]; outside of it `zeros` or its `border`."""
    edges = graph.node("Add", graph.node("Mul", pixels, _number(graph, 2)), _number(graph, 1))
    share = graph.node("Div", edges, _size(graph, picture))  # 0 and 2 are the outer edges
    return graph.node(
        "GridSample", picture, graph.node("Sub", share, _number(graph, 1)),
        mode=mode, padding_mode=around, align_corners=0,
    )  # fmt: skip


def _mirrored(graph: Graph, picture: str, pixels: str, on_centres: bool) -> str:
    """Places outside of the picture, mirrored into it as often as it takes.

    The mirrors stand on the centres of the outermost pixels, or on their outer edges. (GridSample has
    this too, but rounds to the nearest pixel before, which chooses another one where two are as near.)
    """
    low = _number(graph, 0 if on_centres else -0.5)
    span = _last(graph, picture) if on_centres else _size(graph, picture)
    way = graph.node("Sub", pixels, low)
    double = graph.node("Mul", span, _number(graph, 2))
    turns = graph.node("Mul", graph.node("Floor", graph.node("Div", way, double)), double)
    way = graph.node("Sub", way, turns)
    return graph.node("Add", graph.node("Min", way, graph.node("Sub", double, way)), low)


def _in_pixels(graph: Graph, picture: str, places: str, centres: bool) -> str:
    """Places from 0 to 1 in pixels; 0 and 1 are the outermost centres, or the outer edges."""
    if centres:
        return graph.node("Mul", places, _last(graph, picture))
    scaled = graph.node("Mul", places, _size(graph, picture))
    return graph.node("Sub", scaled, _number(graph, 0.5))


def _halved(graph: Graph, places: str) -> str:
    """From -1…1 to 0…1."""
    half = _number(graph, 0.5)
    return graph.node("Add", graph.node("Mul", places, half), half)


def _size(graph: Graph, picture: str) -> str:
    """[width, height] of an NCHW tensor, as float32."""
    size = graph.cast(graph.shape(picture, 2, 4), "float32")
    return graph.node("Gather", size, graph.ints([1, 0]))


def _last(graph: Graph, picture: str) -> str:
    """The centre of the last pixel, (x, y)."""
    return graph.node("Sub", _size(graph, picture), _number(graph, 1))


def _number(graph: Graph, value: float) -> str:
    return graph.constant(np.float32(value))
