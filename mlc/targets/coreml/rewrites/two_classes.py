"""One sigmoid with two labels → a column for each."""

from __future__ import annotations

from typing import Any

from mlc.convert.graph import Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["two_classes"]


def two_classes(program: Program, request: Request) -> None:
    """A Core ML classifier needs a score per label; one sigmoid is the score of the second.

    ::

        Before:  p ─► Identity(scores)

        After:   p ─┬─► Sub(1, ·) ─┐
                    └──────────────┴─► ConcatV2 ─► Identity(scores)

    Only when the package becomes a classifier of two labels.
    """
    import tensorflow as tf

    def both(p: Any) -> Any:
        return tf.concat([1 - p, p], axis=1)

    (output, *others) = request.network.outputs
    if len(request.interface.labels) != 2 or others or output.shape[1:] != (1,):
        return
    body = program.main
    end = body.nodes[output.name]
    tensor = body.tensor(end.input[0])
    (scores,) = body.insert(output.name, both, list(end.input), [(tensor.dtype, tensor.shape)])
    end.input[0] = scores
