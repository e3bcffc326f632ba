"""The teacher: its answers, the layers that its student still has, and how far it is from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.optimize.optimize import simplify
from mlc.optimize.passes.linear import linears
from mlc.optimize.training.prune_channels import remove
from mlc.optimize.training.refit import refit
from mlc.optimize.training.scores import scores
from mlc.optimize.training.teacher import hints, teacher
from mlc.optimize.training.thaw import Thawed, freeze
from tests.optimize.passes.graphs import SHAPE, constant, traced
from tests.optimize.training.test_channels import conv, residual


def digit_like() -> Any:
    return np.random.default_rng(0).uniform(0, 16, (5, 8, 8, 1)).astype(np.float32)


def distances(student: Network, original: Network, x: Any) -> Any:
    return taught(student, original, x)[2]


def taught(student: Network, original: Network, x: Any) -> tuple[Any, Any, Any]:
    """The student's answers, the teacher's, and the distances inside."""
    import tensorflow as tf

    thawed = Thawed(student, {}, [score.reference for score in scores(student)])
    its_teacher = teacher(student, original)
    call = tf.function(lambda x: thawed.taught([x], its_teacher), autograph=False)
    (found,), (told,), inside = call(tf.constant(x))
    return np.asarray(found), np.asarray(told), np.asarray(inside)


def test_a_network_is_no_distance_from_itself(digits: Network) -> None:
    np.testing.assert_array_equal(distances(digits, digits, digit_like()), np.zeros(5))


def test_what_changes_inside_is_seen_for_each_sample(digits: Network) -> None:
    body = Program.of(digits).main
    kernel = linears(body)[0].kernel
    other = freeze(digits, {kernel: body.constant_value(kernel) * np.float32(1.5)})
    assert (distances(other, digits, digit_like()) > 0.01).all()


def test_the_teacher_answers_whatever_the_student_is_shown(digits: Network) -> None:
    body = Program.of(digits).main
    kernel = linears(body)[0].kernel
    other = freeze(digits, {kernel: body.constant_value(kernel) * np.float32(1.5)})
    x = digit_like()
    found, told, _ = taught(other, digits, x)
    np.testing.assert_allclose(told, taught(digits, digits, x)[0], atol=1e-5)
    assert np.abs(found - told).max() > 0.1


def test_layers_that_lost_channels_are_told_nothing(digits: Network) -> None:
    network = simplify(traced(residual))[0]
    smaller = remove(network, 0.5)[0]
    told, everything = hints(smaller, network), hints(network, network)
    assert len(everything) == 3, "all but the scores"
    assert len(told) == 2, "the stream, and what is added to it"
    body, others = Program.of(smaller).main, Program.of(network).main
    for name in everything:
        assert (body.shape(name) == others.shape(name)) == (name in told)
    assert hints(remove(digits, 0.5)[0], digits) == (), "a chain of which every link is thinner"


def stacked(x: Any) -> Any:
    """A stream of 16 channels, and five blocks inside of which channels can go."""
    import tensorflow as tf

    stream = conv(x, constant(1, 1, 4, 16))
    for _ in range(5):
        inside = tf.nn.relu(conv(stream, constant(1, 1, 16, 32, low=-0.5, high=0.5)))
        added = conv(inside, constant(1, 1, 32, 16, low=-0.5, high=0.5))
        added = tf.nn.bias_add(added, np.zeros(16, "f"))
        stream = tf.nn.relu(stream + added)
    return conv(stream, constant(1, 1, 16, 3))


def test_refitting_brings_every_layer_nearer_to_the_teacher() -> None:
    network = simplify(traced(stacked))[0]
    rng = np.random.default_rng(5)
    samples = [{"x": rng.normal(size=SHAPE).astype(np.float32)} for _ in range(16)]
    smaller = remove(network, 0.75, samples)[0]
    fitted = refit(smaller, network, samples)
    fresh = [rng.normal(size=SHAPE).astype(np.float32)[0] for _ in range(5)]
    before = distances(smaller, network, np.stack(fresh))
    after = distances(fitted, network, np.stack(fresh))
    assert after.mean() < 0.9 * before.mean(), (before, after)
    assert refit(network, network, samples).outputs == network.outputs
    same = distances(refit(network, network, samples), network, np.stack(fresh))
    np.testing.assert_allclose(same, 0, atol=1e-8)
