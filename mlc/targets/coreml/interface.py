"""What the package's inputs and outputs look like: decided once, before anything is converted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlc.convert.network import Network, TensorSpec

__all__ = ["LABEL", "MOST", "Interface", "Picture", "decide", "input_types"]

# Core ML wants an upper bound for a dimension that is left open.
MOST = 128

LABEL = "classLabel"  # Core ML's customary name of the output that holds the winning label

# The shape of one sigmoid, and how many labels it stands for.
_ONE_SIGMOID = ((1, 1), 2)

_COLORS = {"rgb": "RGB", "bgr": "BGR", "gray": "GRAYSCALE"}


@dataclass(frozen=True)
class Picture:
    """An image input: Core ML computes `pixel * scale + bias`, the program the division after it.

    The declared formula is `(pixel * scale - mean) / std`. Core ML's own scale is one number, its bias
    one per channel; so `std` joins them when it is one number, and otherwise stays behind as
    `divisor`, an op at the head of the program.
    """

    name: str
    color: str  # RGB, BGR or GRAYSCALE
    scale: float
    bias: tuple[float, ...]
    divisor: tuple[float, ...] = ()


@dataclass(frozen=True)
class Interface:
    """How a network meets the app: a picture or tensors in, labels or tensors out."""

    picture: Picture | None = None
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def preview(self) -> bool:
        """Whether Xcode can show what the model does with a dropped picture."""
        return self.picture is not None and bool(self.labels)


def decide(network: Network) -> Interface:
    """Choose an image input and a classifier's outputs where the network declares what they need.

    1. A picture goes in when preprocessing is declared and the only input is one 1×H×W×1 or 1×H×W×3
       float tensor. Without declared preprocessing every input stays a tensor.
    2. Labels come out when there are as many as the only output has columns, or two for one sigmoid,
       at batch 1.
    """
    notes: list[str] = []
    picture = _picture(network, notes)
    labels = _labels(network, notes)
    return Interface(picture, labels, tuple(notes))


def _picture(network: Network, notes: list[str]) -> Picture | None:
    declared = network.preprocessing
    if declared is None:
        return None
    spec = network.inputs[0]
    if len(network.inputs) > 1 or not _is_image(spec, declared.channels):
        notes.append(
            f"Core ML takes pictures one at a time: {spec} stays a tensor, "
            "and the app applies the preprocessing."
        )
        return None
    mean = _spread(declared.mean, declared.channels)
    color = _COLORS[declared.color]
    if len(set(declared.std)) == 1:
        std = declared.std[0]
        return Picture(spec.name, color, declared.scale / std, tuple(-m / std for m in mean))
    return Picture(spec.name, color, declared.scale, tuple(-m for m in mean), divisor=declared.std)


def _labels(network: Network, notes: list[str]) -> tuple[str, ...]:
    if not network.labels or not network.is_classifier:
        return ()
    (output,) = network.outputs
    reason = ""
    if (
        output.shape != (1, len(network.labels))
        and (output.shape, len(network.labels)) != _ONE_SIGMOID
    ):
        reason = "needs one row with a column per label"
    elif len(set(network.labels)) < len(network.labels):
        reason = "cannot tell labels apart that occur twice"
    if reason:
        notes.append(f"A Core ML classifier {reason}: {output} stays a tensor.")
        return ()
    if not set(network.endings) & {"Softmax", "Sigmoid"}:
        notes.append(
            f"{output.name} are scores, not probabilities: the network ends without a softmax."
        )
    return network.labels


def _is_image(spec: TensorSpec, channels: int) -> bool:
    return (
        len(spec.shape) == 4
        and spec.shape[0] == 1
        and None not in spec.shape
        and spec.shape[3] == channels
        and spec.dtype == "float32"
    )


def _spread(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return values * channels if len(values) == 1 else values


def input_types(network: Network, interface: Interface) -> list[Any]:
    """The inputs in coremltools' words. Open dimensions at one place are one and the same."""
    import coremltools as ct
    import numpy as np

    if interface.picture:
        picture = interface.picture
        bias: Any = list(picture.bias) if picture.color != "GRAYSCALE" else picture.bias[0]
        return [
            ct.ImageType(
                name=picture.name,
                shape=network.inputs[0].shape,
                color_layout=ct.colorlayout[picture.color],
                scale=picture.scale,
                bias=bias,
            )
        ]

    open_sizes: dict[int, Any] = {}

    def dimension(place: int, size: int | None) -> Any:
        if size is None and place not in open_sizes:
            open_sizes[place] = ct.RangeDim(1, MOST, symbol=f"d{place}")
        return open_sizes[place] if size is None else size

    return [
        ct.TensorType(
            name=spec.name,
            shape=tuple(dimension(place, size) for place, size in enumerate(spec.shape)),
            dtype=np.float32 if spec.dtype.startswith(("float", "bfloat")) else np.int32,
        )
        for spec in network.inputs
    ]
