"""Each rewrite: the same numbers in TensorFlow before and after, and the op that offended is gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.freeze import freeze
from mlc.convert.graph import Program
from mlc.convert.network import Description, Network, Provenance, TensorSpec
from mlc.convert.preprocessing import Preprocessing
from mlc.errors import UnsupportedError
from mlc.targets.coreml import rewrites
from mlc.targets.coreml.interface import decide

Compute = Callable[..., Any]


def network_of(compute: Compute, *inputs: TensorSpec) -> Network:
    """A network of one output `y`, from a TensorFlow function of its inputs in order."""

    def call(tensors: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"y": compute(*(tensors[s.name] for s in inputs))}

    return freeze(call, inputs, Provenance("test", "test", "0" * 64), Description("test"))


def rewritten(network: Network, half: bool = False) -> tuple[Network, list[str]]:
    graph_def, notes = rewrites.rewritten(network, decide(network), half)
    return replace(network, graph=graph_def.SerializeToString(deterministic=True)), notes


def ops_of(network: Network) -> set[str]:
    import tensorflow as tf

    graph_def = tf.compat.v1.GraphDef.FromString(network.graph)
    nodes = [*graph_def.node, *(n for f in graph_def.library.function for n in f.node_def)]
    return {n.op for n in nodes}


def feeds(network: Network) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return {
        s.name: (rng.normal(size=[d or 2 for d in s.shape]) * 2).astype(s.dtype)
        for s in network.inputs
    }


X = TensorSpec("x", (2, 5, 8), "float32")
PADDINGS = [[0, 0], [0, 3], [2, 7]]
PICTURE = TensorSpec("x", (1, 7, 9, 4), "float32")


def _argmax(x: Any) -> Any:
    from keras import ops

    return ops.argmax(x, -1)


def _gelu(x: Any) -> Any:
    from keras import activations

    return activations.gelu(x)


def _grouped(x: Any) -> Any:
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def convolve(image: Any, kernel: Any) -> Any:
        return tf.nn.conv2d(image, kernel, 1, "VALID")

    return convolve(x, tf.reshape(tf.range(72.0) / 72, (3, 3, 2, 4)))


def _resize(method: str, size: tuple[int, int], **options: bool) -> Compute:
    def compute(x: Any) -> Any:
        import tensorflow as tf

        return tf.image.resize(x, size, method, **options)

    return compute


def _nearest(size: tuple[int, int], **options: bool) -> Compute:
    def compute(x: Any) -> Any:
        import tensorflow as tf

        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size, **options)

    return compute


def _loop(x: Any) -> Any:
    """Stops by its maximum alone, which coremltools deletes."""
    import tensorflow as tf

    def double(i: Any, y: Any) -> Any:
        return i + 1, tf.math.erfc(y) * 2.0

    return tf.while_loop(lambda i, y: True, double, (0, x), maximum_iterations=3)[1]


def _branch(x: Any) -> Any:
    import tensorflow as tf

    return tf.cond(tf.reduce_sum(x) > 0, lambda: tf.math.expm1(x), lambda: tf.roll(x, 2, 1))


@dataclass(frozen=True)
class Case:
    name: str
    compute: Compute
    spec: TensorSpec
    gone: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


def _tf(expression: Callable[[Any, Any], Any]) -> Compute:
    def compute(x: Any) -> Any:
        import tensorflow as tf

        return expression(tf, x)

    return compute


CASES = [
    Case("argmax", _argmax, X, ("Bitcast", "BitwiseAnd")),
    Case("gelu", _gelu, X, ("Erfc",)),
    Case("expm1", _tf(lambda tf, x: tf.math.expm1(x)), X, ("Expm1",)),
    Case("roll", _tf(lambda tf, x: tf.roll(x, [2, -3], [1, 2])), X, ("Roll",)),
    Case("roll of nothing", _tf(lambda tf, x: tf.roll(x, 5, 1)), X, ("Roll",)),
    Case("0 / 0", _tf(lambda tf, x: tf.math.divide_no_nan(x, tf.nn.relu(x))), X, ("DivNoNan",)),
    Case("cast to bool", _tf(lambda tf, x: tf.cast(tf.cast(tf.nn.relu(x), "bool"), "float32")), X, ()),
    Case("grouped convolution", _grouped, PICTURE, ("PartitionedCall",)),
    Case("bicubic up", _resize("bicubic", (15, 11)), PICTURE, ("ResizeBicubic",)),
    Case("bicubic down", _resize("bicubic", (3, 11)), PICTURE, ("ResizeBicubic",)),
    Case("antialiased", _resize("lanczos3", (4, 5), antialias=True), PICTURE, ("ScaleAndTranslate",)),
    Case("area", _resize("area", (3, 5)), PICTURE, ("ResizeArea",)),
    Case("nearest down", _nearest((3, 4), half_pixel_centers=True), PICTURE, ("ResizeNearestNeighbor",)),
    Case("nearest odd", _nearest((10, 31), half_pixel_centers=True), PICTURE, ("ResizeNearestNeighbor",)),
    Case("nearest legacy", _nearest((5, 13)), PICTURE, ("ResizeNearestNeighbor",)),
    Case("nearest corners", _nearest((5, 13), align_corners=True), PICTURE, ("ResizeNearestNeighbor",)),
    Case("nearest whole", _nearest((14, 27), half_pixel_centers=True), PICTURE, ()),
    Case("symmetric", _tf(lambda tf, x: tf.pad(x, PADDINGS, "SYMMETRIC")), X, ("MirrorPad",)),
    Case("reflect", _tf(lambda tf, x: tf.pad(x, PADDINGS, "REFLECT")), X, ()),
    Case("loop", _loop, X, ("Erfc",)),
    Case("branch", _branch, X, ("Expm1", "Roll")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_numbers_stay_and_ops_go(case: Case) -> None:
    before = network_of(case.compute, case.spec)
    assert ops_of(before) >= set(case.gone[:1]), "the pattern is not there: this proves nothing"
    after, notes = rewritten(before)
    assert not ops_of(after) & set(case.gone)
    assert not notes
    data = feeds(before)
    expected, found = Reference(before).run(data)["y"], Reference(after).run(data)["y"]
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


def test_every_nearest_pixel_is_tensorflows() -> None:
    """The float32 arithmetic of the kernel is repeated exactly, for every size."""
    import tensorflow as tf

    from mlc.targets.coreml.rewrites.resize_nearest import _nearest as chosen

    for size in (3, 7, 13, 32):
        column = tf.reshape(tf.range(size, dtype=tf.float32), (1, size, 1, 1))
        for wanted in range(1, 70):
            for options in ((False, False), (True, False), (False, True)):
                found = tf.raw_ops.ResizeNearestNeighbor(
                    images=column, size=(wanted, 1), align_corners=options[0],
                    half_pixel_centers=options[1],
                )  # fmt: skip
                np.testing.assert_array_equal(chosen(size, wanted, *options), np.ravel(found))


def test_whole_factors_keep_the_native_upsampling() -> None:
    after, _ = rewritten(network_of(_nearest((14, 27), half_pixel_centers=True), PICTURE))
    assert "ResizeNearestNeighbor" in ops_of(after)
    assert "GatherV2" not in ops_of(after)


def test_nearest_to_a_size_known_at_run_time_is_refused() -> None:
    import tensorflow as tf

    def half(x: Any) -> Any:
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=tf.shape(x)[1:3] // 2)

    with pytest.raises(UnsupportedError, match="nearest"):
        rewritten(network_of(half, TensorSpec("x", (1, None, None, 3), "float32")))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "float16"])
def test_inputs_that_core_ml_lacks_become_the_next_type(dtype: str) -> None:
    import tensorflow as tf

    spec = TensorSpec("x", (3, 4), dtype)
    before = network_of(lambda x: tf.cast(x, tf.float32) * 2, spec)
    after, notes = rewritten(before)
    public = "float32" if dtype == "float16" else "int32"
    assert notes == [f"Core ML has no {dtype} input: x is {public}."]
    data = np.asarray([[0, 1, 1, 0], [1, 0, 1, 1], [0, 0, 0, 1]])
    expected = Reference(before).run({"x": data.astype(dtype)})["y"]
    opened = replace(after, inputs=(TensorSpec("x", (3, 4), public),))
    np.testing.assert_array_equal(Reference(opened).run({"x": data.astype(public)})["y"], expected)


def test_a_bool_output_becomes_int32() -> None:
    import tensorflow as tf

    before = network_of(lambda x: tf.greater(x, 0), X)
    after, notes = rewritten(before)
    assert notes == ["Core ML has no bool output: y is int32, 0 or 1."]
    data = feeds(before)
    found = Reference(after).run(data)["y"]
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, Reference(before).run(data)["y"])


def test_masks_stay_finite_in_float16_only() -> None:
    import tensorflow as tf

    def masked(x: Any) -> Any:
        keep = tf.cast(x > 0, tf.float32)
        return tf.nn.softmax(x + (1 - keep) * tf.float32.min) * tf.minimum(x, 1e9)

    before = network_of(masked, X)
    same, notes = rewritten(before, half=False)
    assert not notes
    after, notes = rewritten(before, half=True)
    assert len(notes) == 1
    assert "2 constants beyond float16" in notes[0]
    data = feeds(before)
    expected = Reference(before).run(data)["y"]
    np.testing.assert_array_equal(Reference(same).run(data)["y"], expected)
    np.testing.assert_allclose(Reference(after).run(data)["y"], expected, atol=1e-6)
    assert np.abs(_constants(after)).max() <= 65504
    assert -30000 in _constants(after)
    assert 65504 in _constants(after), "a bound is not a mask"


def test_a_standard_deviation_per_channel_is_divided_in_the_program() -> None:
    image = TensorSpec("x", (1, 4, 4, 3), "float32")
    declared = Preprocessing(scale=1 / 255, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    before = network_of(lambda x: x + 1.0, image).described(preprocessing=declared)
    after, _ = rewritten(before)
    data = np.random.default_rng(0).normal(size=image.shape).astype("float32")  # type: ignore[arg-type]
    expected = Reference(before).run({"x": data})["y"]
    undivided = data * np.asarray(declared.std, np.float32)
    np.testing.assert_allclose(Reference(after).run({"x": undivided})["y"], expected, atol=1e-6)


def test_function_names_do_not_depend_on_the_process() -> None:
    first, second = (rewritten(network_of(_loop, X))[0] for _ in range(2))
    assert first.graph == second.graph


def test_the_callers_graph_is_not_touched() -> None:
    network = network_of(_loop, X)
    digest = network.digest
    rewritten(network)
    assert network.digest == digest


def test_taking_a_program_apart_and_together_changes_nothing() -> None:
    network = network_of(_branch, X)
    program = Program(network.graph, ["x"], ["y"])
    assert len(list(program.bodies())) == 3
    again = replace(network, graph=program.graph_def().SerializeToString())
    data = feeds(network)
    np.testing.assert_array_equal(
        Reference(again).run(data)["y"], Reference(network).run(data)["y"]
    )


def _constants(network: Network) -> np.ndarray[Any, Any]:
    import tensorflow as tf

    graph_def = tf.compat.v1.GraphDef.FromString(network.graph)
    values = [tf.make_ndarray(n.attr["value"].tensor) for n in graph_def.node if n.op == "Const"]
    return np.concatenate([v.ravel() for v in values if v.dtype == np.float32])
