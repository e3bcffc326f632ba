"""Preprocessing with one standard deviation per channel → a division at the head of the program."""

from __future__ import annotations

from mlc.convert.graph import Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["channel_std"]


def channel_std(program: Program, request: Request) -> None:
    """Core ML's image input scales all channels alike; divide by what differs behind it.

    ::

        Before:  image ─► Conv2D                   image = (pixel * scale - mean) / std

        After:   image ─► Mul(1 / std) ─► Conv2D   image = pixel * scale - mean

    Only when the package gets an image input whose `std` has more than one value.
    """
    import numpy as np

    picture = request.interface.picture
    if picture is None or not picture.divisor:
        return
    body = program.main
    tensor = body.tensor(picture.name)
    factor = (1 / np.asarray(picture.divisor)).astype(np.float32)
    (divided,) = body.insert(
        picture.name, lambda x: x * factor, [picture.name], [(tensor.dtype, tensor.shape)]
    )
    body.redirect({(picture.name, 0): divided})
