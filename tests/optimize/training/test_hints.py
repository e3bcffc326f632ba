"""Hints: the layers that are still the teacher's, and how far the student is from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.optimize.optimize import simplify
from mlc.optimize.passes.linear import linears
from mlc.optimize.training.hints import hints
from mlc.optimize.training.prune_channels import remove
from mlc.optimize.training.thaw import Thawed, freeze
from tests.optimize.passes.graphs import traced
from tests.optimize.training.test_channels import residual


def distances(student: Network, teacher: Network) -> Any:
    import tensorflow as tf

    thawed = Thawed(student, {}, [f"{student.outputs[0].name}:0"])
    pixels = np.random.default_rng(0).uniform(0, 16, (5, 8, 8, 1)).astype(np.float32)
    step = tf.function(lambda x: thawed.taught([x], hints(student, teacher))[1], autograph=False)
    return np.asarray(step(tf.constant(pixels)))


def test_a_network_is_no_distance_from_itself(digits: Network) -> None:
    np.testing.assert_array_equal(distances(digits, digits), np.zeros(5))


def test_what_changes_inside_is_seen_for_each_sample(digits: Network) -> None:
    body = Program.of(digits).main
    kernel = linears(body)[0].kernel
    other = freeze(digits, {kernel: body.constant_value(kernel) * np.float32(1.5)})
    assert (distances(other, digits) > 0.01).all()


def test_layers_that_lost_channels_are_told_nothing(digits: Network) -> None:
    network = simplify(traced(residual))[0]
    smaller = remove(network, 0.5)[0]
    told, everything = hints(smaller, network), hints(network, network)
    assert told is not None
    assert everything is not None
    assert len(everything.names) == 3, "all but the scores"
    assert len(told.names) == 2, "the stream, and what is added to it"
    body, others = Program.of(smaller).main, Program.of(network).main
    for name in everything.names:
        assert (body.shape(name) == others.shape(name)) == (name in told.names)
    assert hints(remove(digits, 0.5)[0], digits) is None, "a chain of which every link is thinner"
