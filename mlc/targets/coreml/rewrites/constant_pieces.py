"""Constants that are taken apart → the pieces as constants."""

from __future__ import annotations

from functools import partial
from typing import Any

from mlc.convert.graph import Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["constant_pieces"]


def constant_pieces(program: Program, request: Request) -> None:
    """Keras 2 keeps both biases of a GRU in one constant. coremltools evaluates that, then looks for the
    pieces in the wrong place, and ends with a Python error.

    ::

        Before:  Const 2×48 ─► Unpack ─┬─► y0
                                       └─► y1

        After:   Const 48 ─► y0,   Const 48 ─► y1
    """
    for body in program.bodies():
        for node in body.find("Unpack", "Split", "SplitV"):
            count = len(body.tensor(node.name).op.outputs)
            pieces = [body.constant(f"{node.name}:{i}") for i in range(count)]
            if all(piece is not None for piece in pieces):
                body.replace(node, partial(_constants, pieces))


def _constants(pieces: list[Any], *_: Any) -> list[Any]:
    import tensorflow as tf

    return [tf.constant(piece) for piece in pieces]
