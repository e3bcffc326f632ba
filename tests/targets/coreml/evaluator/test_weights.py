"""Every kind of compressed weight, decoded: against coremltools' own decoding, and by definition."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.errors import SourceError
from mlc.targets.coreml import evaluator
from mlc.targets.coreml.evaluator import program, weights
from mlc.targets.coreml.evaluator.blob import unpack
from tests.targets.coreml.evaluator import programs

Array = np.ndarray[Any, np.dtype[Any]]
rng = np.random.default_rng(2)
X = rng.normal(0, 1, (1, 32, 6, 6)).astype(np.float32)
KERNEL = rng.normal(0, 0.1, (64, 32, 3, 3)).astype(np.float32)
BIAS = rng.normal(0, 0.1, 64).astype(np.float32)
DENSE = rng.normal(0, 0.1, (16, 64)).astype(np.float32)


def network(mb: Any, x: Any, half: bool) -> dict[str, Any]:
    kind = np.float16 if half else np.float32
    if half:
        x = mb.cast(x=x, dtype="fp16")
    kernel = mb.const(val=KERNEL.astype(kind), name="kernel")
    x = mb.relu(x=mb.conv(x=x, weight=kernel, bias=BIAS.astype(kind), pad_type="same"))
    x = mb.reduce_mean(x=x, axes=[2, 3], keep_dims=False)
    x = mb.linear(x=x, weight=mb.const(val=DENSE.astype(kind), name="dense"))
    return {"y": mb.cast(x=x, dtype="fp32")}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, bool], Any]:
    """The uncompressed model for an operator set and a precision."""
    import coremltools as ct

    folder = tmp_path_factory.mktemp("weights")

    def model(ios: int, half: bool) -> Any:
        path = folder / f"ios{ios}-{half}.mlpackage"
        if not path.exists():
            programs.save(path, lambda mb, x: network(mb, x, half), {"x": X}, ios=ios)
        return ct.models.MLModel(str(path), skip_model_load=True)

    return model


def _linear(**options: Any) -> Callable[[Any], Any]:
    def compress(model: Any) -> Any:
        import coremltools.optimize.coreml as cto

        config = cto.OpLinearQuantizerConfig(weight_threshold=100, **options)
        return cto.linear_quantize_weights(model, cto.OptimizationConfig(global_config=config))

    return compress


def _palettized(**options: Any) -> Callable[[Any], Any]:
    def compress(model: Any) -> Any:
        import coremltools.optimize.coreml as cto

        config = cto.OpPalettizerConfig(mode="uniform", weight_threshold=100, **options)
        return cto.palettize_weights(model, cto.OptimizationConfig(global_config=config))

    return compress


def _pruned(model: Any) -> Any:
    import coremltools.optimize.coreml as cto

    config = cto.OpMagnitudePrunerConfig(target_sparsity=0.6, weight_threshold=100)
    return cto.prune_weights(model, cto.OptimizationConfig(global_config=config))


def _jointly(first: Callable[[Any], Any], second: str, **options: Any) -> Callable[[Any], Any]:
    def compress(model: Any) -> Any:
        import coremltools.optimize.coreml as cto

        pruned = first(model)
        if second == "linear":
            config: Any = cto.OpLinearQuantizerConfig(weight_threshold=100, **options)
            function = cto.linear_quantize_weights
        else:
            config = cto.OpPalettizerConfig(mode="uniform", weight_threshold=100, **options)
            function = cto.palettize_weights
        return function(
            pruned, cto.OptimizationConfig(global_config=config), joint_compression=True
        )

    return compress


COMPRESSIONS: dict[str, tuple[int, bool, Callable[[Any], Any], str]] = {
    "int8 affine, iOS 16": (16, True, _linear(mode="linear"), "constexpr_affine_dequantize"),
    "int8 symmetric, iOS 16, float32": (
        16, False, _linear(mode="linear_symmetric"), "constexpr_affine_dequantize",
    ),
    "palette 4 bits, iOS 16": (16, True, _palettized(nbits=4), "constexpr_lut_to_dense"),
    "palette 6 bits, iOS 16": (16, False, _palettized(nbits=6), "constexpr_lut_to_dense"),
    "palette 8 bits, iOS 16": (16, True, _palettized(nbits=8), "constexpr_lut_to_dense"),
    "sparse, iOS 16": (16, True, _pruned, "constexpr_sparse_to_dense"),
    "int8 per channel": (18, True, _linear(), "constexpr_blockwise_shift_scale"),
    "uint8 per tensor": (
        18, True, _linear(dtype="uint8", mode="linear", granularity="per_tensor"),
        "constexpr_blockwise_shift_scale",
    ),
    "int4 per block": (
        18, True, _linear(dtype="int4", granularity="per_block", block_size=16),
        "constexpr_blockwise_shift_scale",
    ),
    "uint4 per block": (
        18, False, _linear(dtype="uint4", mode="linear", granularity="per_block", block_size=8),
        "constexpr_blockwise_shift_scale",
    ),
    "palette 1 bit": (18, True, _palettized(nbits=1), "constexpr_lut_to_dense"),
    "palette 2 bits": (18, True, _palettized(nbits=2), "constexpr_lut_to_dense"),
    "palette 3 bits": (18, True, _palettized(nbits=3), "constexpr_lut_to_dense"),
    "palettes per group": (
        18, True, _palettized(nbits=4, granularity="per_grouped_channel", group_size=8),
        "constexpr_lut_to_dense",
    ),
    "palettes per group of inputs": (
        18, True,
        _palettized(nbits=2, granularity="per_grouped_channel", group_size=16, channel_axis=1),
        "constexpr_lut_to_dense",
    ),
    "sparse": (18, True, _pruned, "constexpr_sparse_to_dense"),
    "sparse and int8": (
        18, True, _jointly(_pruned, "linear"), "constexpr_sparse_blockwise_shift_scale",
    ),
    "sparse and palette": (
        18, True, _jointly(_pruned, "palette", nbits=4), "constexpr_lut_to_sparse",
    ),
    "palette of int8": (
        18, True, _jointly(_palettized(nbits=4), "linear", granularity="per_tensor"),
        "constexpr_lut_to_dense",
    ),
}  # fmt: skip


def decompressed(model: Any) -> Any:
    """What coremltools itself makes of it: every compression undone, all weights plain constants."""
    import coremltools.optimize.coreml as cto

    return cto.decompress_weights(model)


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_weights_are_those_that_coremltools_decodes(
    name: str, models: Callable[[int, bool], Any], tmp_path: Path
) -> None:
    ios, half, compress, kind = COMPRESSIONS[name]
    model = compress(models(ios, half))
    model.save(str(tmp_path / "small.mlpackage"))
    kinds = {op.kind for op in program.load(tmp_path / "small.mlpackage").block.walk()}
    assert kind in kinds, "the compression that this test is about was not applied"
    found = weights.decoded(tmp_path / "small.mlpackage")
    assert {"kernel", "dense"} <= set(found)
    assert found["kernel"].shape == KERNEL.shape
    decompressed(model).save(str(tmp_path / "plain.mlpackage"))
    expected = weights.decoded(tmp_path / "plain.mlpackage")
    step = 1e-3 if half else 1e-6  # coremltools computes in float16, we round once
    for weight in ("kernel", "dense"):
        np.testing.assert_allclose(found[weight], expected[weight], atol=step * 0.5, rtol=step)
    ours = evaluator.open(tmp_path / "small.mlpackage", "float32").run({"x": X})["y"]
    theirs = evaluator.open(tmp_path / "plain.mlpackage", "float32").run({"x": X})["y"]
    np.testing.assert_allclose(ours, theirs, atol=2e-3 if half else 1e-6)


def test_names_are_those_of_the_uncompressed_package(
    models: Callable[[int, bool], Any], tmp_path: Path
) -> None:
    models(18, True).save(str(tmp_path / "plain.mlpackage"))
    _linear()(models(18, True)).save(str(tmp_path / "small.mlpackage"))
    plain, small = (weights.decoded(tmp_path / f"{n}.mlpackage") for n in ("plain", "small"))
    assert set(plain) == set(small)
    assert (plain["kernel"] == KERNEL.astype(np.float16)).all()
    signal, noise = plain["kernel"], plain["kernel"] - small["kernel"]
    assert 30 < 10 * np.log10((signal**2).sum() / (noise**2).sum()) < 60


def test_vectors_from_a_palette(tmp_path: Path) -> None:
    """The example of MIL's documentation: two palette entries of three elements each."""
    indices = np.array([[[0, 0], [1, 0]], [[1, 1], [0, 0]]], np.uint8)
    lut = np.array([[1, 2, 3], [4, 5, 6]], np.float32).reshape(1, 1, 1, 2, 3)

    def build(mb: Any, x: Any) -> dict[str, Any]:
        from coremltools.converters.mil.mil import types

        typed = indices.astype(types.nptype_from_builtin(types.string_to_builtin("uint1")))
        return {
            f"axis{axis}": mb.add(
                x=mb.constexpr_lut_to_dense(indices=typed, lut=lut, vector_axis=axis), y=x
            )
            for axis in (1, 2)
        }

    zero = np.zeros((1, 1, 1), np.float32)
    path = programs.save(tmp_path / "p.mlpackage", build, {"x": zero}, ios=18)
    found = evaluator.open(path).run({"x": zero})
    a, b = [1, 2, 3], [4, 5, 6]
    assert found["axis2"].tolist() == [[[*a, *a], [*b, *a]], [[*b, *b], [*a, *a]]]
    columns = np.array([[a + b, a + a], [b + a, b + a]], np.float32)  # [batch, column, row]
    assert found["axis1"].tolist() == columns.transpose(0, 2, 1).tolist()


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6])
def test_unpacking_is_that_of_coremltools(bits: int) -> None:
    from coremltools.optimize._utils import pack_elements_into_bits

    values = rng.integers(0, 2**bits, 1001).astype(np.uint8)
    packed = pack_elements_into_bits(values, bits)
    assert (unpack(packed, f"uint{bits}", 1001) == values).all()
    if bits == 4:
        signed = values.astype(np.int8) - 8
        assert (unpack(pack_elements_into_bits(signed, 4), "int4", 1001) == signed).all()


def test_constants_are_those_that_coremltools_reads(
    models: Callable[[int, bool], Any], tmp_path: Path
) -> None:
    """Our reader of protobuf and weight file against coremltools' loader, constant by constant."""
    from coremltools.converters.mil.frontend.milproto.load import load

    model = models(17, True)
    model.save(str(tmp_path / "p.mlpackage"))
    spec = model.get_spec()
    theirs = load(spec, spec.specificationVersion, model.weights_dir).functions["main"]
    constants = {
        v.name: v.val for op in theirs.operations for v in op.outputs if op.op_type == "const"
    }
    compared = 0
    for op in program.load(tmp_path / "p.mlpackage").block.walk():
        for values in op.parameters.values():
            for value in values:
                if value.is_constant and value.name in constants:
                    assert np.array_equal(value.constant, constants[value.name]), value
                    compared += 1
    assert compared > 10


def test_a_weight_file_of_another_conversion_is_refused(
    models: Callable[[int, bool], Any], tmp_path: Path
) -> None:
    models(17, True).save(str(tmp_path / "p.mlpackage"))
    file = tmp_path / "p.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(SourceError, match=r"weight\.bin"):
        evaluator.open(tmp_path / "p.mlpackage")
    file.unlink()
    with pytest.raises(SourceError, match=r"lacks its weight file weight\.bin"):
        evaluator.open(tmp_path / "p.mlpackage")
