"""Which graphs may be given many samples at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mlc.convert.network import Network
from mlc.optimize.training.separate import separates
from tests.optimize.passes.graphs import traced


def each_alone(x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.softmax(tf.reshape(x, [-1, 256]))


def written_for_one(x: Any) -> Any:
    import tensorflow as tf

    return tf.reshape(x, [1, 256])


def compared_with_the_others(x: Any) -> Any:
    import tensorflow as tf

    return tf.reshape(x, [-1, 256]) - tf.reduce_mean(x)


def in_rows(x: Any) -> Any:
    """The same numbers for three samples, but an axis of 192 rows."""
    import tensorflow as tf

    return tf.reshape(x, [-1, 4])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (each_alone, True),
        (written_for_one, False),
        (compared_with_the_others, False),
        (in_rows, False),
    ],
)
def test_the_graph_is_asked(function: Callable[[Any], Any], expected: bool) -> None:
    assert separates(traced(function), ["y:0"]) is expected


@pytest.mark.parametrize(
    ("name", "batch", "expected"), [("cnn", None, True), ("cnn", 2, False), ("lstm", 1, False)]
)
def test_of_layers(
    name: str, batch: int | None, expected: bool, frozen: Callable[..., Network]
) -> None:
    network = frozen(name, batch)
    assert separates(network, [f"{s.name}:0" for s in network.outputs]) is expected
