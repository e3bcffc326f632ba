"""Networks and runtimes without TensorFlow, for rooms that only look at their outsides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mlc.convert.network import Description, Network, Provenance, TensorSpec

Shape = tuple[int | None, ...]


def network(
    inputs: Mapping[str, Shape] | None = None,
    outputs: Mapping[str, Shape] | None = None,
    ending: str = "Softmax",
    dtype: str = "float32",
    **more: Any,
) -> Network:
    """A network that cannot be run: by default a classifier of pictures into three classes."""
    inputs = inputs or {"image": (1, 8, 8, 3)}
    outputs = outputs or {"scores": (1, 3)}
    return Network(
        graph=b"a graph",
        inputs=tuple(TensorSpec(n, s, dtype) for n, s in inputs.items()),
        outputs=tuple(TensorSpec(n, s, "float32") for n, s in outputs.items()),
        endings=(ending,) * len(outputs),
        parameters=10,
        provenance=Provenance("model.h5", "Keras 2.4.0 HDF5", "0" * 64),
        description=Description("model"),
        **more,
    )


class Function:
    """A runtime that is a Python function of the feeds."""

    name = "Python"
    timed = True

    def __init__(
        self, network: Network, function: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    ) -> None:
        self.inputs, self.outputs = network.inputs, network.outputs
        self._function = function
        self.runs = 0

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        self.runs += 1
        return {name: np.asarray(value) for name, value in self._function(feeds).items()}

    def close(self) -> None:
        pass


def picture(array: Any) -> Any:
    """A Pillow picture of (height, width, 3) uint8."""
    from PIL import Image

    return Image.fromarray(array)


def plain(width: int, height: int, color: int = 255) -> Any:
    """A picture of one gray."""
    return picture(np.full((height, width, 3), color, np.uint8))
