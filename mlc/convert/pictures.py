"""Pictures: which input takes one, how it gets there, and whether what is declared of them fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlc.convert.network import Network, TensorSpec
from mlc.convert.preprocessing import Preprocessing
from mlc.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PictureInput", "check_preprocessing", "default_for", "picture_input", "takes_picture"]


@dataclass(frozen=True)
class PictureInput:
    """The one input of a network that takes one picture at a time, and how a picture becomes it."""

    name: str
    height: int
    width: int
    preprocessing: Preprocessing

    def tensor(self, picture: Image) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The input for a picture: float32 (height, width, channels)."""
        how = self.preprocessing
        return how.tensor(how.pixels(picture, self.height, self.width))


def picture_input(network: Network) -> PictureInput | None:
    """How apps feed pictures: None unless the only input is one picture, or an open batch, of known size.

    Where no preprocessing is declared, pixels go in as they are, as they do when mlc reads a folder.
    """
    if len(network.inputs) != 1 or not takes_picture(network.inputs[0]):
        return None
    (spec,) = network.inputs
    batch, height, width, _ = spec.shape
    if batch not in (1, None) or height is None or width is None:
        return None
    return PictureInput(spec.name, height, width, network.preprocessing or default_for(spec))


def default_for(spec: TensorSpec) -> Preprocessing:
    """What holds where nothing is declared: raw pixels, stretched."""
    return Preprocessing(color="gray" if spec.shape[3] == 1 else "rgb")


def takes_picture(spec: TensorSpec) -> bool:
    """Whether an input looks like a batch of pictures: (N, height, width, 1 or 3)."""
    return len(spec.shape) == 4 and spec.shape[3] in (1, 3)


def check_preprocessing(network: Network) -> None:
    """The declared preprocessing must yield as many channels as the input has; raises `UsageError`."""
    declared = network.preprocessing
    for spec in network.inputs:
        if declared and takes_picture(spec) and spec.shape[3] != declared.channels:
            raise UsageError(
                f"preprocessing: {declared.color} pictures have {declared.channels} channels, but input "
                f"{spec} takes {spec.shape[3]}.",
                "Say --color gray." if spec.shape[3] == 1 else "Say --color rgb or bgr.",
            )
