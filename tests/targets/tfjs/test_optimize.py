"""Graphs that the stock converter's passes break, and ops that TF.js lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mlc.convert.network import TensorSpec
from mlc.targets import tfjs
from tests.targets.tfjs.conftest import IMAGE, Emit, network, weights

AssertEqual = Callable[..., Any]


def norm(x: Any) -> Any:
    import tensorflow as tf

    scale, offset, mean = (weights(4, seed=s) + 2 for s in (1, 2, 3))
    variance = weights(4, seed=4) + 1.5
    return tf.compat.v1.nn.fused_batch_norm(x, scale, offset, mean, variance, is_training=False)[0]


def conv(x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.conv2d(x, tf.constant(weights(3, 3, 4, 4)), 1, "SAME")


def depthwise(x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.depthwise_conv2d(x, tf.constant(weights(3, 3, 4, 1)), [1, 1, 1, 1], "SAME")


def batch_norm_of_a_shared_convolution(x: Any) -> Any:
    """The stock fold scales the convolution under the feet of the other reader."""
    import tensorflow as tf

    y = conv(x)
    return y * tf.nn.relu(norm(y))


def batch_norm_after_one_of_two_uses_of_a_kernel(x: Any) -> Any:
    """The stock fold takes the kernel away from the second use."""
    import tensorflow as tf

    kernel = tf.constant(weights(3, 3, 4, 4))
    y = tf.nn.relu(norm(tf.nn.conv2d(x, kernel, 1, "SAME")))
    return tf.nn.conv2d(y, kernel, 1, "SAME")


def bias_of_a_shared_depthwise_convolution(x: Any) -> Any:
    """The stock fusion hands the activated value to the other reader."""
    import tensorflow as tf

    y = depthwise(x)
    return y * tf.nn.relu(tf.nn.bias_add(y, weights(4)))


def activation_of_a_shared_bias(x: Any) -> Any:
    import tensorflow as tf

    y = tf.nn.bias_add(depthwise(x), weights(4))
    return y * tf.nn.relu6(y)


def slope_of_a_prelu_used_elsewhere(x: Any) -> Any:
    """The stock fusion negates the slope in place."""
    import tensorflow as tf

    slope = tf.constant(weights(4))
    y = conv(x)
    return (tf.nn.relu(y) + slope * tf.nn.relu(-y)) * slope


def sum_of_two_products(x: Any) -> Any:
    """The stock pass calls this addition a bias; wasm then refuses it."""
    return x @ weights(4, 4) + x @ weights(4, 4, seed=1)


def bias_that_was_reshaped(x: Any) -> Any:
    import tensorflow as tf

    bias = tf.reshape(x[0, 0, :1] @ weights(4, 4), [4])
    return tf.nn.bias_add(conv(x), bias)


@pytest.mark.parametrize(
    "call",
    [
        batch_norm_of_a_shared_convolution,
        batch_norm_after_one_of_two_uses_of_a_kernel,
        bias_of_a_shared_depthwise_convolution,
        activation_of_a_shared_bias,
        slope_of_a_prelu_used_elsewhere,
        sum_of_two_products,
        bias_that_was_reshaped,
    ],
)
def test_passes_keep_what_the_network_computes(call: Any, assert_equal: AssertEqual) -> None:
    assert assert_equal(network(call, IMAGE)).name == "TF.js 4.22.0 (wasm)"


def test_what_can_be_fused_is(emit: Emit) -> None:
    import tensorflow as tf

    def call(x: Any) -> Any:
        x = tf.nn.relu6(norm(conv(x)))
        x = tf.nn.relu6(norm(depthwise(x)))
        y = tf.nn.bias_add(conv(x), weights(4))
        return tf.nn.relu(y) + tf.constant(-weights(4)) * tf.nn.relu(-y)

    ops = tfjs.inspect(emit(network(call, IMAGE))).ops
    assert ops == {"FusedDepthwiseConv2dNative": 1, "Identity": 1, "_FusedConv2D": 2}


@pytest.mark.parametrize("name", ["erfc", "softsign"])
def test_missing_activations_are_spelled_out(name: str, assert_equal: AssertEqual) -> None:
    import tensorflow as tf

    function = {"erfc": tf.math.erfc, "softsign": tf.math.softsign}[name]
    assert_equal(network(lambda x: function(3 * x), IMAGE))


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_a_batch_norm_that_measures_its_input_is_spelled_out(
    layout: str, assert_equal: AssertEqual
) -> None:
    """Keras 2's LayerNormalization is one; TF.js would divide by a variance that it was not given."""
    import tensorflow as tf

    def call(x: Any) -> Any:
        channels = 4 if layout == "NHWC" else 8
        scale, offset = weights(channels, seed=1) + 2, weights(channels, seed=2)
        return tf.compat.v1.nn.fused_batch_norm(x, scale, offset, data_format=layout)[0] * 3

    assert_equal(network(call, IMAGE))


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [
        ("abc,cde->abde", (2, 3, 4), (4, 5, 6)),  # projection to heads
        ("aecd,abcd->acbe", (2, 3, 4, 5), (2, 6, 4, 5)),  # attention scores
        ("acbe,aecd->abcd", (2, 4, 6, 3), (2, 3, 4, 5)),  # attention of values
        ("...ab,bc->...ac", (2, 3, 4), (4, 5)),
        ("ab,ab->ab", (3, 4), (3, 4)),
        ("a,b->ba", (3,), (4,)),
        ("ab,ab->", (3, 4), (3, 4)),
    ],
)
def test_einsum_runs_on_wasm(
    equation: str, left: tuple[int, ...], right: tuple[int, ...], assert_equal: AssertEqual
) -> None:
    import tensorflow as tf

    def call(a: Any, b: Any) -> Any:
        product = tf.einsum(equation, a, b)
        return tf.reshape(product, [-1]) * tf.constant([1.0, 2.0])[:, None]

    tiny = network(call, TensorSpec("a", left, "float32"), TensorSpec("b", right, "float32"))
    assert assert_equal(tiny).timed


def test_einsum_with_an_open_batch(assert_equal: AssertEqual) -> None:
    import tensorflow as tf

    kernel = weights(4, 2, 3)
    call = lambda x: tf.einsum("abc,cde->abde", x, kernel)  # noqa: E731
    runtime = assert_equal(network(call, TensorSpec("x", (None, 5, 4), "float32")), batch=3)
    assert runtime.timed


def test_einsum_that_no_product_can_do_runs_on_cpu_and_says_so(assert_equal: AssertEqual) -> None:
    import tensorflow as tf

    call = lambda a, b: tf.einsum("ab,cb->a", a, b)  # noqa: E731
    a, b = (TensorSpec(n, (3, 4), "float32") for n in "ab")
    runtime = assert_equal(network(call, a, b))
    assert runtime.name == "TF.js 4.22.0 (cpu: wasm lacks Einsum)"
    assert not runtime.timed


def test_a_loop_that_collects_results(assert_equal: AssertEqual) -> None:
    """TF.js frees what a `While` body puts into a list, so loops must not stay `While`."""
    import tensorflow as tf

    kernel = weights(4, 4)

    def call(steps: Any) -> Any:
        def cell(state: Any, step: Any) -> Any:
            return tf.tanh(state @ kernel + step)

        sequence = tf.transpose(steps, [1, 0, 2])
        doubled = tf.map_fn(lambda x: 2 * x, sequence)
        return tf.scan(cell, doubled, initializer=tf.zeros_like(steps[:, 0]))

    runtime = assert_equal(network(call, TensorSpec("steps", (None, 6, 4), "float32")), batch=2)
    assert runtime.name == "TF.js 4.22.0 (wasm)"


def test_a_branch(assert_equal: AssertEqual) -> None:
    import tensorflow as tf

    def call(x: Any) -> Any:
        return tf.cond(tf.reduce_sum(x) > 0, lambda: x * 2, lambda: x - 1)

    assert_equal(network(call, TensorSpec("x", (3, 4), "float32")))
