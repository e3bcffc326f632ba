"""What a package looks like from outside: names, pictures, classifiers, open shapes, errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.errors import DataError, SourceError, UnverifiableError
from mlc.targets.coreml import evaluator
from mlc.targets.target import Runtime
from tests.targets.coreml.evaluator import programs

Array = np.ndarray[Any, np.dtype[Any]]
X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return programs.save(
        tmp_path_factory.mktemp("plain") / "plain.mlpackage",
        lambda mb, a, n: {
            "sum": mb.add(x=a, y=mb.cast(x=n, dtype="fp32"), name="inner"),
            "count": mb.add(x=n, y=1),
        },
        {"a": X, "n": np.array([1], np.int32)},
    )


def test_it_is_a_runtime(package: Path) -> None:
    opened: Runtime = evaluator.open(package)
    assert opened.name == "mlc's Core ML evaluator (declared)"
    assert not opened.timed
    assert [str(s) for s in opened.inputs] == ["a 2×3×4 float32", "n 1 int32"]
    assert [str(s) for s in opened.outputs] == ["sum 2×3×4 float32", "count 1 int32"]
    found = opened.run({"a": X, "n": np.array([2])})
    assert (found["sum"] == X + 2).all()
    assert found["count"].tolist() == [3]
    assert found["count"].dtype == np.int32
    opened.close()
    opened.close()


def test_trace_names_values_as_the_program_does(package: Path) -> None:
    trace = evaluator.open(package).trace({"a": X, "n": np.array([2])})
    assert set(trace) >= {"a", "n", "inner", "sum", "count"}
    assert (trace["inner"] == X + 2).all()


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"a": X}, "No data for the input 'n'"),
        ({"a": X, "n": [1], "m": [1]}, "no input 'm'"),
        ({"a": X[0], "n": [1]}, "shape 3×4, the package wants 2×3×4"),
        ({"a": X[:1], "n": [1]}, "shape 1×3×4, the package wants 2×3×4"),
        ({"a": X.astype(str), "n": [1]}, "no numbers"),
    ],
)
def test_wrong_data_are_told(feeds: dict[str, Any], message: str, package: Path) -> None:
    with pytest.raises(DataError, match=message):
        evaluator.open(package).run({k: np.asarray(v) for k, v in feeds.items()})


def test_opening_needs_neither_tensorflow_nor_coremltools(package: Path) -> None:
    """Which cost ten seconds; and coremltools can still be imported afterwards."""
    script = f"""
import sys, numpy as np
from mlc.targets.coreml.evaluator import open
found = open({str(package)!r}).run({{"a": np.zeros((2, 3, 4)), "n": np.ones(1)}})
assert found["sum"].sum() == 24
heavy = {{"tensorflow", "coremltools", "sklearn", "torch"}} & set(sys.modules)
assert not heavy, heavy
from coremltools.proto import Model_pb2
from mlc.targets.coreml.evaluator.program import _messages
assert Model_pb2.Model is _messages().Model
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


# ---- pictures and classifiers

PICTURE = np.random.default_rng(0).integers(0, 256, (1, 4, 5, 3)).astype(np.uint8)


def classifier(mb: Any, picture: Any) -> dict[str, Any]:
    means = mb.reduce_mean(x=picture, axes=[2, 3], keep_dims=False)
    return {"scores": mb.softmax(x=mb.mul(x=means, y=0.1))}


def with_picture(path: Path, layout: str, scale: float = 1.0, labels: bool = False) -> Path:
    import coremltools as ct

    options: dict[str, Any] = {
        "declared": [
            ct.ImageType(
                name="picture", shape=(1, 3, 4, 5), color_layout=layout, scale=scale, bias=[0, 1, 2]
            )
        ]
    }
    if labels:
        options["classifier_config"] = ct.ClassifierConfig(["red", "green", "blue"])
    return programs.save(
        path,
        classifier,
        {"picture": np.zeros((1, 3, 4, 5), np.float32)},
        default_passes=True,
        **options,
    )


def expected_scores(order: slice, scale: float = 1.0) -> Array:
    channels = PICTURE.astype(np.float64).transpose(0, 3, 1, 2)[:, order]
    means = (channels * scale + np.array([0, 1, 2]).reshape(3, 1, 1)).mean((2, 3)) * 0.1
    return np.exp(means) / np.exp(means).sum(-1, keepdims=True)


@pytest.mark.parametrize(
    ("layout", "order"), [("RGB", slice(None)), ("BGR", slice(None, None, -1))]
)
def test_a_picture_is_taken_as_rgb_rows(layout: str, order: slice, tmp_path: Path) -> None:
    path = with_picture(tmp_path / "p.mlpackage", layout, scale=0.5)
    opened = evaluator.open(path)
    assert str(opened.inputs[0]) == "picture 1×4×5×3 float32"
    assert opened.images["picture"] == evaluator.Image(layout, 4, 5)
    scores = opened.run({"picture": PICTURE})["scores"]
    np.testing.assert_allclose(scores, expected_scores(order, 0.5), rtol=1e-5)
    tensor = PICTURE.transpose(0, 3, 1, 2)[:, order]  # the program's own layout and order
    assert (opened.run({"picture": tensor})["scores"] == scores).all()
    with pytest.raises(DataError, match="outside of 0 to 255"):
        opened.run({"picture": PICTURE.astype(np.float32) - 1})
    with pytest.raises(DataError, match="shape"):
        opened.run({"picture": PICTURE[:, :3]})


def test_a_classifier_gives_probabilities_and_labels(tmp_path: Path) -> None:
    opened = evaluator.open(with_picture(tmp_path / "p.mlpackage", "RGB", labels=True))
    assert opened.labels == ("red", "green", "blue")
    found = opened.run({"picture": PICTURE})
    (name,) = found
    assert name == opened.outputs[0].name
    np.testing.assert_allclose(found[name], expected_scores(slice(None)), rtol=1e-5)


# ---- open shapes


def flexible(path: Path, dims: Any) -> Path:
    """The mean over open rows, with a reshape and a slice that depend on the size."""
    import coremltools as ct
    from coremltools.converters.mil import Builder as mb  # noqa: N813

    @mb.program(
        input_specs=[mb.TensorSpec((1, ct.converters.mil.mil.get_new_symbol(), 4))],
        opset_version=ct.target.iOS16,
    )
    def program(x: Any) -> Any:
        pairs = mb.reshape(x=x, shape=[0, -1, 2])
        last = mb.slice_by_index(
            x=pairs, begin=[0, -1, 0], end=[0, 0, 0], end_mask=[True, True, True]
        )
        return mb.add(
            x=mb.reduce_mean(x=x, axes=[1], keep_dims=False), y=mb.reduce_sum(x=last), name="y"
        )

    name = next(iter(program.functions["main"].inputs))
    model = ct.convert(
        program,
        inputs=[ct.TensorType(name=name, shape=dims)],
        source="milinternal",
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    model.save(str(path))
    return path


def test_ranges_are_honoured(tmp_path: Path) -> None:
    import coremltools as ct

    path = flexible(tmp_path / "p.mlpackage", (1, ct.RangeDim(2, 9, default=3), 4))
    opened = evaluator.open(path)
    name = opened.inputs[0].name
    assert opened.inputs[0].shape == (1, None, 4)
    for rows in (2, 3, 9):
        x = np.random.default_rng(rows).normal(size=(1, rows, 4)).astype(np.float32)
        found = opened.run({name: x})["y"]
        np.testing.assert_allclose(found, x.mean(1) + x[0, -1, 2:].sum(), rtol=1e-5)
    with pytest.raises(DataError, match=r"1 × 2\.\.9 × 4"):
        opened.run({name: np.zeros((1, 10, 4))})


def test_enumerated_shapes_are_honoured(tmp_path: Path) -> None:
    import coremltools as ct

    shapes = ct.EnumeratedShapes(shapes=[(1, 3, 4), (1, 6, 4)])
    opened = evaluator.open(flexible(tmp_path / "p.mlpackage", shapes))
    name = opened.inputs[0].name
    assert opened.run({name: np.ones((1, 6, 4))})["y"].tolist() == [[3, 3, 3, 3]]
    with pytest.raises(DataError, match="1×3×4 or 1×6×4"):
        opened.run({name: np.ones((1, 4, 4))})


# ---- packages that cannot be opened


def test_what_is_no_package_is_refused(tmp_path: Path, package: Path) -> None:
    import shutil

    with pytest.raises(SourceError, match=r"no Manifest\.json"):
        evaluator.open(tmp_path)
    broken = tmp_path / "b.mlpackage"
    shutil.copytree(package, broken)
    (broken / "Data/com.apple.CoreML/model.mlmodel").write_bytes(b"\xff" * 100)
    with pytest.raises(SourceError, match="damaged"):
        evaluator.open(broken)
    (broken / "Manifest.json").write_text("{}")
    with pytest.raises(SourceError, match="does not name the model"):
        evaluator.open(broken)


def test_a_package_cannot_read_files_outside_of_itself(tmp_path: Path) -> None:
    weights = np.ones((8, 8), np.float32)
    path = programs.save(
        tmp_path / "a.mlpackage",
        lambda mb, x: {"y": mb.linear(x=x, weight=weights)},
        {"x": np.ones((1, 8), np.float32)},
    )

    def escape(model: Any) -> None:
        for op in programs.operations(model):
            if op.type == "const" and op.attributes["val"].HasField("blobFileValue"):
                op.attributes["val"].blobFileValue.fileName = "@model_path/../../../../etc/passwd"

    changed = programs.edit(path, tmp_path / "b.mlpackage", escape)
    with pytest.raises(SourceError, match="outside of itself"):
        evaluator.open(changed)


def test_a_value_used_before_it_is_computed_is_refused(package: Path, tmp_path: Path) -> None:
    def shuffle(model: Any) -> None:
        operations = programs.operations(model)
        first = next(i for i, op in enumerate(operations) if op.type == "add")
        moved = type(operations[first])()
        moved.CopyFrom(operations[first])
        del operations[first]
        operations.insert(0, moved)

    changed = programs.edit(package, tmp_path / "b.mlpackage", shuffle)
    with pytest.raises(SourceError, match="before anything computes it"):
        evaluator.open(changed)


def test_a_declared_shape_that_is_wrong_is_found(package: Path, tmp_path: Path) -> None:
    def lie(model: Any) -> None:
        for op in programs.operations(model):
            if op.outputs[0].name == "sum":
                op.outputs[0].type.tensorType.dimensions[2].constant.size = 5

    changed = programs.edit(package, tmp_path / "b.mlpackage", lie)
    with pytest.raises(UnverifiableError, match="declared"):
        evaluator.open(changed).run({"a": X, "n": np.array([1])})


def test_an_older_kind_of_model_is_named(package: Path, tmp_path: Path) -> None:
    def older(model: Any) -> None:
        model.neuralNetwork.SetInParent()

    changed = programs.edit(package, tmp_path / "b.mlpackage", older)
    with pytest.raises(UnverifiableError, match="is a Core ML neuralNetwork"):
        evaluator.open(changed)
