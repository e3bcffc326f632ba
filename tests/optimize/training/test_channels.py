"""Removing channels: what is left fits together, and what did not count is not missed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.errors import UsageError
from mlc.optimize.optimize import simplify
from mlc.optimize.passes.linear import linears
from mlc.optimize.training.channels import trace
from mlc.optimize.training.prune_channels import PruneChannels, remove
from mlc.optimize.training.reconstruct import most_telling
from tests.optimize.passes.graphs import SHAPE, constant, difference, traced
from tests.optimize.training.conftest import Run


def shapes(network: Network) -> list[tuple[int, ...]]:
    body = Program.of(network).main
    return [body.constant_value(op.kernel).shape for op in linears(body)]


def silent(count: int, of: int, axis: int, shape: tuple[int, ...]) -> Any:
    """Weights of which `count` channels along an axis are 0, spread over them."""
    values = np.random.default_rng(1).uniform(0.2, 1, shape).astype(np.float32)
    quiet = np.random.default_rng(2).permutation(of)[:count]
    np.moveaxis(values, axis, 0)[quiet] = 0
    return values


def conv(x: Any, weights: Any) -> Any:
    import tensorflow as tf

    return tf.nn.conv2d(x, weights, 1, "SAME")


def chain(x: Any) -> Any:
    """Bias, activation, depthwise, pooling, flatten, dense: all that channels pass through."""
    import tensorflow as tf

    y = tf.nn.relu6(tf.nn.bias_add(conv(x, silent(8, 16, 3, (3, 3, 4, 16))), np.zeros(16, "f")))
    y = tf.nn.depthwise_conv2d(y, constant(3, 3, 16, 1, low=0.1), [1, 1, 1, 1], "SAME")
    y = tf.nn.max_pool2d(tf.pad(y, [[0, 0], [1, 1], [1, 1], [0, 0]]), 2, 2, "VALID")
    return tf.reshape(y, [1, -1]) @ constant(5 * 5 * 16, 3)


def joined(x: Any) -> Any:
    """Two branches side by side: each loses its own."""
    import tensorflow as tf

    left = tf.nn.relu(conv(x, silent(8, 16, 3, (1, 1, 4, 16))))
    right = tf.nn.tanh(conv(x, silent(8, 16, 3, (3, 3, 4, 16))))
    return conv(tf.concat([left, right], -1), constant(1, 1, 32, 3))


def residual(x: Any) -> Any:
    """The stream keeps its 16 channels, the inside of the block does not."""
    stream = conv(x, constant(1, 1, 4, 16))
    inside = conv(stream, silent(8, 16, 3, (3, 3, 16, 16)))
    stream = stream + conv(inside, constant(1, 1, 16, 16))
    return conv(stream, constant(1, 1, 16, 3))


def gated(x: Any) -> Any:
    """Squeeze and excitation: the gate goes with the channels that it opens."""
    import tensorflow as tf

    y = conv(x, silent(8, 16, 3, (3, 3, 4, 16)))
    squeezed = tf.reduce_mean(y, [1, 2])
    gate = tf.sigmoid(tf.reshape(squeezed @ constant(16, 16), [1, 1, 1, 16]))
    return conv(y * gate, constant(1, 1, 16, 3))


def transposed(x: Any) -> Any:
    import tensorflow as tf

    y = conv(x, constant(1, 1, 4, 4))
    y = tf.nn.conv2d_transpose(y, silent(8, 16, 2, (2, 2, 16, 4)), [1, 16, 16, 16], 2)
    return conv(y, constant(1, 1, 16, 3))


@pytest.mark.parametrize("build", [chain, joined, residual, transposed])
def test_channels_that_are_zero_are_not_missed(build: Callable[[Any], Any]) -> None:
    network = simplify(traced(build))[0]
    smaller, (note,) = remove(network, 0.5)
    assert difference(network, smaller) < 1e-5
    assert "were removed" in note
    assert len(smaller.graph) < len(network.graph)
    assert smaller.outputs == network.outputs


def spanned(x: Any) -> Any:
    """Sixteen channels and a bias, all told by any eight of them: four inputs are what there is."""
    import tensorflow as tf

    y = tf.nn.bias_add(conv(x, constant(1, 1, 4, 16)), np.linspace(-1, 1, 16, dtype=np.float32))
    return tf.nn.bias_add(conv(y, constant(1, 1, 16, 3)), np.zeros(3, "f"))


def test_those_that_stay_tell_what_the_removed_ones_told() -> None:
    network = simplify(traced(spanned))[0]
    rng = np.random.default_rng(3)
    samples = [{"x": rng.normal(size=SHAPE).astype(np.float32)} for _ in range(8)]
    assert difference(network, remove(network, 0.5)[0]) > 0.1
    assert difference(network, remove(network, 0.5, samples)[0]) < 1e-2


def test_channels_are_taken_that_tell_most_of_the_outputs() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(500, 6))
    x[:, 1] *= 9  # loud, but nothing reads it
    x[:, 4] = x[:, 0] + x[:, 3]  # tells half of each
    weights = np.array([[2.0], [0], [0.1], [2], [0], [1]])
    problem = (np.cov(x, rowvar=False, bias=True), weights)
    assert most_telling([problem], 1) == [4], "more than any that is read"
    chosen = most_telling([problem], 3)
    assert not {0, 1, 3} & set(chosen), (
        "what the fourth tells, and what nothing reads, tells no more"
    )
    best = min(residue(problem, list(three)) for three in combinations(range(6), 3))
    assert residue(problem, chosen) == pytest.approx(best, rel=1e-3)


def test_more_channels_are_taken_than_there_were_samples() -> None:
    """As behind a wide last layer: nothing is left to tell, and what is left is rounding."""
    rng = np.random.default_rng(5)
    x = np.maximum(rng.normal(size=(100, 512)), 0).astype(np.float32)
    mean = x.mean(axis=0, dtype=np.float64)
    covariance = np.float64(x.T @ x / len(x)) - np.outer(mean, mean)
    problem = (covariance, rng.normal(size=(512, 2)))
    with np.errstate(all="raise"):
        chosen = most_telling([problem], 300)
    assert len(set(chosen)) == 300
    assert residue(problem, chosen[:20]) < 0.9 * residue(problem, list(range(20)))


def residue(problem: tuple[Any, Any], chosen: list[int]) -> float:
    """Variance of the outputs that is left when these channels have told what they can."""
    covariance, weights = problem
    own, cross = covariance[np.ix_(chosen, chosen)], covariance[chosen] @ weights
    told = np.linalg.pinv(own, rcond=1e-9) @ cross
    return float(np.trace(weights.T @ covariance @ weights - cross.T @ told))


def test_what_is_added_stays_whole_and_what_is_inside_shrinks() -> None:
    smaller = remove(simplify(traced(residual))[0], 0.5)[0]
    assert shapes(smaller) == [(1, 1, 4, 16), (3, 3, 16, 8), (1, 1, 8, 16), (1, 1, 16, 3)]


def test_a_gate_goes_with_its_channels() -> None:
    smaller = remove(simplify(traced(gated))[0], 0.5)[0]
    assert shapes(smaller) == [(3, 3, 4, 8), (8, 8), (1, 1, 8, 3)]
    Reference(smaller).run({"x": np.zeros(SHAPE, np.float32)})


def unknown(x: Any) -> Any:
    import tensorflow as tf

    return conv(tf.cumsum(conv(x, constant(1, 1, 4, 16)), -1), constant(1, 1, 16, 3))


def normalized(x: Any) -> Any:
    import tensorflow as tf

    y = conv(x, constant(1, 1, 4, 16))
    return conv(y - tf.reduce_mean(y, -1, keepdims=True), constant(1, 1, 16, 3))


def across(x: Any) -> Any:
    import tensorflow as tf

    return conv(tf.nn.softmax(conv(x, constant(1, 1, 4, 16))), constant(1, 1, 16, 3))


@pytest.mark.parametrize("build", [unknown, normalized, across])
def test_channels_whose_number_matters_stay(build: Callable[[Any], Any]) -> None:
    network = simplify(traced(build))[0]
    assert trace(Program.of(network).main).groups() == []
    with pytest.raises(UsageError, match="No channels can be removed"):
        remove(network, 0.5)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_groups_are_multiples_of_eight(share: float, digits: Network) -> None:
    found = shapes(remove(digits, share)[0])
    widths = [round(n * (1 - share) / 8) * 8 for n in (32, 64, 96, 128)]
    assert [s[-1] for s in found if s[-1] != 1] == [*widths, 10]
    assert [s[2] for s in found if s[-1] == 1] == widths[:3]


def test_fine_tuning_heals_it(run: Run) -> None:
    done = run(PruneChannels(0.5), epochs=6)
    start, best = done.record.epochs[0], done.record.epochs[done.record.kept]
    assert best.loss < start.loss / 2
    assert any("were removed" in note for note in done.record.notes)
    assert done.network.parameters < 16_000
