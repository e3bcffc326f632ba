"""Packages that take a picture and give labels, and still run as their network."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.execute import Reference
from mlc.convert.network import Network, TensorSpec
from mlc.convert.preprocessing import Preprocessing
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import named
from mlc.targets import coreml
from mlc.targets.coreml import evaluator, package
from mlc.targets.coreml.interface import decide
from mlc.targets.target import Emission, Options
from tests.targets.coreml.test_rewrites import network_of

IMAGENET = Preprocessing(scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
FORMULAS = {
    "raw": Preprocessing(),
    "centred": Preprocessing(scale=1 / 127.5, mean=(1.0,)),
    "imagenet": IMAGENET,
    "caffe": Preprocessing(color="bgr", mean=(103.9, 116.8, 123.7)),
    "torch bgr": Preprocessing(color="bgr", mean=(127.0,), std=(128.0, 127.0, 126.0)),
    "gray": Preprocessing(color="gray", scale=1 / 255, mean=(0.5,), std=(0.25,)),
}


def classifier(channels: int = 3, ending: str = "softmax", classes: int = 4) -> Network:
    """Channels and places weigh differently, so that a swap of either shows."""
    import tensorflow as tf

    rng = np.random.default_rng(3)
    kernel = rng.normal(size=(3, 3, channels, 6)).astype("float32") / 10
    head = rng.normal(size=(6 * 5 * 7, classes)).astype("float32") / 5

    def compute(image: Any) -> Any:
        x = tf.nn.relu(tf.nn.conv2d(image, kernel, 1, "SAME"))
        logits = tf.matmul(tf.reshape(x, (-1, 6 * 5 * 7)), head)
        scale = 1 / (1 + tf.reduce_max(tf.abs(logits)))
        return {"softmax": tf.nn.softmax, "sigmoid": tf.sigmoid}.get(ending, tf.identity)(
            logits * scale * 3
        )

    return network_of(compute, TensorSpec("image", (1, 5, 7, channels), "float32"))


def emitted(network: Network, tmp_path: Path, recipe: str = "fp32") -> tuple[Emission, Any]:
    path = tmp_path / "picture.mlpackage"
    emission = coreml.emit(network, Plan(named(recipe)), None, Options(), path)
    return emission, package.read_spec(path).description


@pytest.mark.parametrize("formula", FORMULAS)
def test_pixels_in_the_networks_numbers_out(formula: str, tmp_path: Path) -> None:
    """From the network's tensor, and from the decoded picture: the same scores."""
    declared = FORMULAS[formula]
    network = classifier(declared.channels).described(
        preprocessing=declared, labels=("ant", "bee", "cat", "dög")
    )
    emission, _ = emitted(network, tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 5, 7, declared.channels))
    tensor = declared.tensor(pixels)
    expected = Reference(network).run({"image": tensor})["y"]
    with closing(coreml.open(emission.path)) as runtime:
        assert runtime.inputs == network.inputs
        assert runtime.outputs == network.outputs
        np.testing.assert_allclose(runtime.run({"image": tensor})["y"], expected, atol=2e-6)
    picture = pixels[..., ::-1] if declared.color == "bgr" else pixels  # as decoded: red first
    with closing(evaluator.open(emission.path)) as app:
        assert app.labels == network.labels
        np.testing.assert_allclose(app.run({"image": picture})["y"], expected, atol=2e-6)


def test_xcode_sees_an_image_classifier(tmp_path: Path) -> None:
    labels = ("ant", "bee", "cat", "dög")
    network = classifier().described(preprocessing=IMAGENET, labels=labels)
    _, description = emitted(network, tmp_path)
    (image,) = description.input
    assert image.name == "image"
    assert (image.type.imageType.height, image.type.imageType.width) == (5, 7)
    assert image.type.imageType.colorSpace == image.type.imageType.RGB
    assert {f.name: f.type.WhichOneof("Type") for f in description.output} == {
        "classLabel": "stringType",
        "y": "dictionaryType",
    }
    assert description.predictedFeatureName == "classLabel"
    assert description.predictedProbabilitiesName == "y"
    fields = description.metadata.userDefined
    assert fields["com.apple.coreml.model.preview.type"] == "imageClassifier"
    assert "dög" in fields["mlc.labels"]


def test_one_sigmoid_with_two_labels_is_a_classifier(tmp_path: Path) -> None:
    network = classifier(ending="sigmoid", classes=1).described(
        preprocessing=FORMULAS["centred"], labels=("other", "hot dog")
    )
    emission, _ = emitted(network, tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 5, 7, 3))
    tensor = FORMULAS["centred"].tensor(pixels)
    expected = Reference(network).run({"image": tensor})["y"]
    with closing(coreml.open(emission.path)) as runtime:
        np.testing.assert_allclose(runtime.run({"image": tensor})["y"], expected, atol=2e-6)
    with closing(evaluator.open(emission.path)) as app:
        assert app.labels == ("other", "hot dog")
        both = app.run({"image": pixels})["y"]
        np.testing.assert_allclose(both, [[1 - expected[0, 0], expected[0, 0]]], atol=2e-6)


def test_without_declared_preprocessing_tensors_stay_tensors(tmp_path: Path) -> None:
    _, description = emitted(classifier(), tmp_path)
    assert description.input[0].type.WhichOneof("Type") == "multiArrayType"
    assert [f.name for f in description.output] == ["y"]


def test_float16_keeps_the_picture_within_its_noise(tmp_path: Path) -> None:
    network = classifier().described(preprocessing=IMAGENET, labels=("a", "b", "c", "d"))
    emission, _ = emitted(network, tmp_path, "fp16")
    tensor = IMAGENET.tensor(np.random.default_rng(0).integers(0, 256, (1, 5, 7, 3)))
    expected = Reference(network).run({"image": tensor})["y"]
    with closing(coreml.open(emission.path)) as runtime:
        np.testing.assert_allclose(runtime.run({"image": tensor})["y"], expected, atol=5e-3)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"labels": ("a", "b", "c", "c")}, "occur twice"),
        ({"preprocessing": FORMULAS["gray"]}, "stays a tensor"),
    ],
)
def test_what_does_not_fit_stays_a_tensor_with_a_note(changes: dict[str, Any], note: str) -> None:
    interface = decide(classifier().described(**changes))
    assert interface.picture is None
    assert not interface.labels
    assert note in " ".join(interface.notes)


def test_scores_that_are_no_probabilities_are_told() -> None:
    interface = decide(classifier(ending="logits").described(labels=("a", "b", "c", "d")))
    assert interface.labels
    assert "not probabilities" in " ".join(interface.notes)
