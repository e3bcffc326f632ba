"""onnxruntime behind our doors: types, batches, files that are none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.network import Network, TensorSpec
from mlc.errors import DataError, SourceError, UnverifiableError
from mlc.targets import onnx
from mlc.targets.target import Emission
from tests.targets.onnx.conftest import noise

Freeze = Callable[..., Network]
Emit = Callable[..., Emission]


def foreign(path: Path, nodes: list[Any], inputs: dict[str, Any], outputs: dict[str, Any]) -> Path:
    """A file as others write it; types by name, each `(element, shape)`."""
    import onnx as library

    def infos(types: dict[str, Any]) -> list[Any]:
        return [library.helper.make_tensor_value_info(n, *t) for n, t in types.items()]

    graph = library.helper.make_graph(nodes, "foreign", infos(inputs), infos(outputs))
    opsets = [library.helper.make_opsetid("", 17), library.helper.make_opsetid("acme", 1)]
    model = library.helper.make_model(graph, opset_imports=opsets, producer_name="acme")
    model.ir_version = 8
    library.save(model, path)
    return path


def test_feeds_are_cast_to_the_declared_types(tmp_path: Path) -> None:
    import onnx as library

    cast = library.helper.make_node("Cast", ["half"], ["y"], to=library.TensorProto.FLOAT)
    same = library.helper.make_node("Identity", ["count"], ["n"])
    path = foreign(
        tmp_path / "a.onnx",
        [cast, same],
        {"half": (10, ["N", 2]), "count": (7, [])},
        {"y": (1, ["N", 2]), "n": (7, [])},
    )
    with closing(onnx.open(path)) as runtime:
        assert runtime.inputs == (
            TensorSpec("half", (None, 2), "float16"),
            TensorSpec("count", (), "int64"),
        )
        results = runtime.run({"half": np.asarray([[0.5, 2]]), "count": np.asarray(3.0)})
    np.testing.assert_array_equal(results["y"], [[0.5, 2]])
    assert results["n"] == 3
    summary = onnx.inspect(path)
    assert summary.inputs == runtime.inputs
    assert summary.metadata == {"producer": "acme"}


def test_inspection_and_session_agree(frozen: Freeze, emit: Emit) -> None:
    for name in ("text", "gru", "unet"):
        path = emit(name, "fp32").path
        summary = onnx.inspect(path)
        with closing(onnx.open(path)) as runtime:
            assert summary.inputs == runtime.inputs == frozen(name).inputs
            assert summary.outputs == runtime.outputs == frozen(name).outputs


def test_open_batch_follows_the_feeds(frozen: Freeze, emit: Emit) -> None:
    network = frozen("lstm", None)
    with closing(onnx.open(emit("lstm", "fp32", None).path)) as runtime:
        for size in (1, 4, 2):
            feeds = noise(network, size, size)
            expected = Reference(network).run(feeds)["scores"]
            np.testing.assert_allclose(runtime.run(feeds)["scores"], expected, atol=1e-5)


def test_a_batch_that_does_not_fit_is_the_callers_error(emit: Emit) -> None:
    with closing(onnx.open(emit("cnn", "fp32").path)) as runtime:
        with pytest.raises(DataError, match=r"image 1×24×24×3 float32.*3×24×24×3"):
            runtime.run({"image": np.zeros((3, 24, 24, 3), "float32")})
        with pytest.raises(DataError, match="Nothing is fed to the input image"):
            runtime.run({"picture": np.zeros((1, 24, 24, 3), "float32")})


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.6, 0.9, 0.99])
def test_a_file_cut_short_is_refused(share: float, emit: Emit, tmp_path: Path) -> None:
    data = emit("cnn", "int8").path.read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(data[: int(len(data) * share)])
    for door in (onnx.open, onnx.inspect):
        with pytest.raises(SourceError, match="ONNX"):
            door(path)


def test_another_file_is_no_onnx(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    for content in (b"PK\x03\x04" + bytes(100), b"hello, world\n" * 9, b""):
        path.write_bytes(content)
        with pytest.raises(SourceError, match="ONNX"):
            onnx.open(path)
    with pytest.raises(SourceError, match="cannot be read"):
        onnx.open(tmp_path / "missing.onnx")


def test_unknown_operations_are_inspected_and_not_verified(tmp_path: Path) -> None:
    import onnx as library

    node = library.helper.make_node("Sparkle", ["x"], ["y"], domain="acme")
    path = foreign(tmp_path / "a.onnx", [node], {"x": (1, [2])}, {"y": (1, [2])})
    assert onnx.inspect(path).ops == {"acme:Sparkle": 1}
    with pytest.raises(UnverifiableError, match="Sparkle") as caught:
        onnx.open(path)
    assert "\n" not in str(caught.value)


def test_failing_while_running_is_a_sentence(tmp_path: Path) -> None:
    import onnx as library

    node = library.helper.make_node("Reshape", ["x", "shape"], ["y"])
    path = foreign(
        tmp_path / "a.onnx",
        [node],
        {"x": (1, [4]), "shape": (7, [2])},
        {"y": (1, ["a", "b"])},
    )
    with closing(onnx.open(path)) as runtime:
        feeds = {"x": np.zeros(4), "shape": np.asarray([2, 2])}
        assert runtime.run(feeds)["y"].shape == (2, 2)
        with pytest.raises(UnverifiableError, match="failed while running") as caught:
            runtime.run({**feeds, "shape": np.asarray([3, 3])})
    assert "\n" not in str(caught.value)
