"""Each pass: what it does to its pattern, that the function stays, and what it must leave alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlc.convert.graph import Program
from mlc.optimize.optimize import Request, make_plan
from mlc.optimize.passes import PIPELINE
from mlc.optimize.passes.equalize import equalize
from mlc.optimize.passes.fold_batch_norm import fold_batch_norm
from mlc.optimize.passes.fold_constants import fold_constants
from mlc.optimize.passes.fold_input_scale import fold_input_scale
from mlc.optimize.passes.fuse_activations import fuse_activations
from mlc.optimize.passes.global_pool_to_mean import global_pool_to_mean
from mlc.optimize.passes.linear import linears
from mlc.optimize.passes.mean_by_rows import mean_by_rows
from mlc.optimize.passes.relu6_to_relu import relu6_to_relu
from mlc.optimize.passes.remove_identities import remove_identities
from mlc.optimize.recipe import named
from tests.optimize.passes.graphs import SHAPE, constant, difference, ops, rewritten, traced

CLEAN = (fold_constants, remove_identities)


def conv(x: Any, padding: str = "SAME", channels: int = 4) -> Any:
    import tensorflow as tf

    return tf.nn.conv2d(x, constant(3, 3, 4, channels), 1, padding)


def depthwise(x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.depthwise_conv2d(x, constant(3, 3, 4, 2), [1, 1, 1, 1], "SAME")


def transposed(x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.conv2d_transpose(x, constant(3, 3, 6, 4), [1, 16, 16, 6], 2)


def dense(x: Any) -> Any:
    import tensorflow as tf

    return tf.matmul(tf.reshape(x, [1, 256]), constant(256, 5))


def normalized(x: Any) -> Any:
    """BatchNorm as one op, as Keras 2 writes it."""
    import tensorflow as tf

    n = x.shape[-1]
    return tf.compat.v1.nn.fused_batch_norm(
        x, constant(n), constant(n), constant(n), constant(n, low=0.5, high=2), is_training=False
    )[0]


def spelled(x: Any) -> Any:
    """BatchNorm in single ops, as Keras 3 writes it."""
    import tensorflow as tf

    n = x.shape[-1]
    return tf.nn.batch_normalization(
        x, constant(n), constant(n, low=0.5, high=2), constant(n), constant(n), 1e-3
    )


@pytest.mark.parametrize("norm", [normalized, spelled])
@pytest.mark.parametrize("layer", [conv, depthwise, transposed])
def test_batch_norm_disappears_behind_every_convolution(layer: Any, norm: Any) -> None:
    network = traced(lambda x: norm(layer(x)))
    folded = rewritten(network, *CLEAN, fold_batch_norm)
    assert len(ops(folded)) == 2
    assert ops(folded)[-1] == "BiasAdd"
    assert difference(network, folded) < 1e-5


def test_batch_norm_disappears_behind_a_product() -> None:
    network = traced(lambda x: spelled(dense(x)))
    folded = rewritten(network, *CLEAN, fold_batch_norm)
    assert ops(folded) == ["Reshape", "MatMul", "BiasAdd"]
    assert difference(network, folded) < 1e-5


def test_what_something_else_reads_is_not_folded() -> None:
    def twice(x: Any) -> Any:
        y = conv(x)
        return spelled(y) + y

    network = traced(twice)
    folded = rewritten(network, *CLEAN, fold_batch_norm)
    assert ops(folded) == ops(rewritten(network, *CLEAN))


def test_shared_weights_are_not_scaled() -> None:
    import tensorflow as tf

    def shared(x: Any) -> Any:
        w = constant(3, 3, 4, 4)
        y = spelled(tf.nn.conv2d(x, w, 1, "SAME"))
        return tf.nn.conv2d(y, w, 1, "SAME")

    network = traced(shared)
    folded = rewritten(network, *PIPELINE)
    assert difference(network, folded) < 1e-5
    assert ops(folded).count("Conv2D") == 2


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_a_shift_in_front_is_folded_only_where_nothing_is_padded(padding: str) -> None:
    network = traced(lambda x: conv(x * constant(4) + constant(4), padding))
    folded = rewritten(network, *CLEAN, fold_input_scale)
    assert difference(network, folded) < 1e-5
    left = {"SAME": ["Mul", "AddV2", "Conv2D"], "VALID": ["Conv2D", "BiasAdd"]}[padding]
    assert ops(folded) == left


def test_a_scale_in_front_is_always_folded() -> None:
    for layer in (conv, depthwise):
        network = traced(lambda x, layer=layer: layer(x * constant(4)))
        folded = rewritten(network, *CLEAN, fold_input_scale)
        assert len(ops(folded)) == 1
        assert difference(network, folded) < 1e-5


def test_the_bias_of_a_linear_op_in_front_stays_with_it() -> None:
    import tensorflow as tf

    def two(x: Any) -> Any:
        return conv(tf.nn.bias_add(conv(x), constant(4)), "VALID")

    network = traced(two)
    assert ops(rewritten(network, *PIPELINE)) == ["Conv2D", "BiasAdd", "Conv2D"]


def test_clips_become_activations() -> None:
    import tensorflow as tf

    for clip, wanted in (
        (lambda x: tf.minimum(tf.maximum(x, 0.0), 6.0), ["Relu6"]),
        (lambda x: tf.clip_by_value(x, 0.0, 6.0), ["Relu6"]),
        (lambda x: tf.minimum(tf.nn.relu(x), 6.0), ["Relu6"]),
        (lambda x: tf.maximum(0.0, x), ["Relu"]),
        (lambda x: tf.minimum(tf.nn.relu(x), 5.0), ["Relu", "Minimum"]),
    ):
        network = traced(lambda x, clip=clip: clip(x * 5.0))
        fused = rewritten(network, *CLEAN, fuse_activations)
        assert ops(fused)[1:] == wanted
        assert difference(network, fused) == 0


def test_identities_and_neutral_arithmetic_go() -> None:
    import tensorflow as tf

    network = traced(lambda x: tf.identity(tf.stop_gradient(x * 1.0) + 0.0) * constant(4))
    assert ops(rewritten(network, *CLEAN)) == ["Mul"]
    # `* 1` that makes a larger tensor of a smaller one stays.
    wider = traced(lambda x: x * tf.ones([2, 1, 1, 1]))
    assert ops(rewritten(wider, *CLEAN)) == ["Mul"]


def test_a_constant_that_would_grow_is_not_folded() -> None:
    import tensorflow as tf

    network = traced(lambda x: tf.reduce_sum(x) + tf.tile(constant(1, 1000), [1000, 1]))
    folded = rewritten(network, *CLEAN)
    assert "Tile" in ops(folded)
    assert len(folded.graph) < 100_000


def test_equalized_channels_compute_the_same_and_are_alike() -> None:
    import tensorflow as tf

    sizes = np.geomspace(0.01, 100, 8).astype(np.float32)

    def chain(x: Any) -> Any:
        y = tf.nn.bias_add(tf.nn.conv2d(x, constant(3, 3, 4, 8) * sizes, 1, "SAME"), constant(8))
        return tf.nn.conv2d(tf.nn.relu(y), constant(3, 3, 8, 4), 1, "SAME")

    network = rewritten(traced(chain), *PIPELINE)
    equal = rewritten(network, equalize)
    assert difference(network, equal) < 1e-5

    def spread(of: Any) -> float:
        body = Program.of(of).main
        peaks = np.abs(body.constant_value(linears(body)[0].kernel)).max(axis=(0, 1, 2))
        return float(peaks.max() / peaks.min())

    assert spread(network) > 1000
    assert spread(equal) < 200  # the square root of what it was


def test_relu6_becomes_relu_only_where_it_never_clipped() -> None:
    import tensorflow as tf

    network = rewritten(traced(lambda x: tf.nn.relu6(tf.nn.relu6(x) * 2.0)), *CLEAN)
    first, second = (n.name for n in Program.of(network).main.find("Relu6"))

    def drop(program: Program) -> None:
        relu6_to_relu(program, {first: 5.9, second: 6.0})

    assert sorted(ops(rewritten(network, drop))) == ["Mul", "Relu", "Relu6"]


@pytest.mark.parametrize(
    ("window", "padding", "left"),
    [(8, "VALID", "Mean"), (8, "SAME", "Mean"), (4, "VALID", "AvgPool"), (16, "SAME", "AvgPool")],
)
def test_only_a_pool_over_all_is_a_mean(window: int, padding: str, left: str) -> None:
    import tensorflow as tf

    network = traced(lambda x: tf.nn.avg_pool2d(x, window, window, padding))
    found = rewritten(network, global_pool_to_mean)
    assert ops(found) == [left]
    assert difference(network, found) < 1e-6


def test_a_mean_has_a_grid_of_its_own() -> None:
    import tensorflow as tf

    network = traced(lambda x: tf.reshape(tf.nn.avg_pool2d(tf.nn.relu(x), 8, 8, "VALID"), [1, 4]))
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    request = Request(named("int8"), lambda: [{"x": x}])
    before, after = (
        [a.scale for a in make_plan(n, request).activations]
        for n in (network, rewritten(network, *PIPELINE))
    )
    assert len(before) == len(after) == 4, "input, Relu, pool, Reshape"
    assert before[1] == before[2] == before[3]
    assert after[2] == after[3] < after[1] / 4


@pytest.mark.parametrize("keep", [True, False])
def test_a_large_mean_is_taken_by_rows(keep: bool) -> None:
    import tensorflow as tf

    shape = (1, 40, 30, 4)
    network = traced(lambda x: tf.reduce_mean(x, [1, -2], keepdims=keep), shape)
    found = rewritten(network, mean_by_rows)
    assert ops(found) == ["Mean", "Mean"]
    assert difference(network, found, shape) < 1e-5
    assert ops(rewritten(found, mean_by_rows)) == ["Mean", "Mean"], "once is enough"


@pytest.mark.parametrize("axes", [[1], [1, 2, 3], [2, 3]])
def test_other_means_stay(axes: list[int]) -> None:
    import tensorflow as tf

    network = traced(lambda x: tf.reduce_mean(x, axes), (1, 40, 30, 4))
    assert ops(rewritten(network, mean_by_rows)) == ["Mean"]
    small = traced(lambda x: tf.reduce_mean(x, [1, 2]))
    assert ops(rewritten(small, mean_by_rows)) == ["Mean"]
