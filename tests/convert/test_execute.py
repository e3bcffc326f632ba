"""The network as TensorFlow functions: one to convert, one to run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference, concrete_function, function
from mlc.convert.freeze import freeze
from mlc.convert.network import Description, Network, Provenance, TensorSpec
from tests import networks
from tests.convert.keras_files import feeds, reading


@pytest.fixture(scope="module")
def digits() -> Network:
    return reading(Path(__file__).parents[2] / "examples" / "digits" / "digits.keras")


def answers(made: Any, network: Network) -> list[Any]:
    import tensorflow as tf

    (fed, *_) = feeds(network, 1)
    found = made(*(tf.constant(fed[s.name], s.dtype) for s in network.inputs))
    return [np.asarray(tensor) for tensor in found]


@pytest.mark.parametrize("name", sorted(networks.BUILDERS))
def test_both_compute_the_same(name: str, frozen: Callable[..., Network]) -> None:
    network = frozen(name)
    for one, other in zip(
        answers(function(network), network),
        answers(concrete_function(network), network),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_weights_stay_outside_of_what_is_run(digits: Network) -> None:
    run, converted = (
        f(digits).graph.as_graph_def().ByteSize() for f in (function, concrete_function)
    )
    assert converted > 4 * digits.parameters
    assert run < converted - 0.8 * 4 * digits.parameters


def test_tensors_inside_can_be_asked_for(digits: Network) -> None:
    import tensorflow as tf

    made = function(
        digits, [f"{digits.outputs[0].name}:0"], lambda found: [tf.reduce_sum(found[0], axis=1)]
    )
    np.testing.assert_allclose(answers(made, digits), [[1.0]], rtol=1e-6)


def test_an_input_that_nothing_reads() -> None:
    network = freeze(
        lambda feeds: {"y": feeds["used"] * 2},
        [TensorSpec(name, (1, 3), "float32") for name in ("unused", "used")],
        Provenance("x", "test", "0" * 64),
        Description("test"),
    )
    row = np.ones((1, 3), np.float32)
    answer = Reference(network).run({"unused": row * 7, "used": row})
    np.testing.assert_array_equal(answer["y"], row * 2)
