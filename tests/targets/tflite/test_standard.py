"""TensorFlow's metadata schema, read by readers that share nothing with the writer."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlc.convert.metadata import view
from mlc.convert.network import Description, Network
from mlc.convert.preprocessing import Preprocessing
from mlc.errors import SourceError
from mlc.targets import tflite
from mlc.targets.tflite import flatbuffer, standard
from tests import stand_ins
from tests.targets.tflite.conftest import write

Freeze = Callable[..., Network]

HOW = Preprocessing(scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
LABELS = ("hot dog", "pizza", "salad", "soup", "今川焼")


@pytest.fixture
def network(frozen: Freeze) -> Network:
    about = Description("cnn", "2.1.0", "A. Tester", "MIT", "Tells food.")
    return frozen("cnn").described(description=about, labels=LABELS, preprocessing=HOW)


def entry(path: Path) -> bytes:
    """The bytes of the metadata entry of a file."""
    model = flatbuffer.parse(path.read_bytes())
    (found,) = [e for e in model.metadata if flatbuffer.text(e.name) == "TFLITE_METADATA"]
    return bytes(model.buffers[found.buffer].data)


class Slots:
    """A reader of the public schema: a table of a flatbuffer by the numbers of its slots."""

    def __init__(self, data: bytes, position: int | None = None) -> None:
        from flatbuffers import encode, packer
        from flatbuffers.table import Table

        root = encode.Get(packer.uoffset, data, 0) if position is None else position
        self.table = Table(data, root)

    def _at(self, slot: int) -> int:
        offset = self.table.Offset(4 + 2 * slot)
        assert offset, f"slot {slot} is empty"
        return int(self.table.Pos + offset)

    def text(self, slot: int) -> str:
        return str(self.table.String(self._at(slot)).decode())

    def number(self, slot: int, kind: str) -> Any:
        from flatbuffers import number_types

        return self.table.Get(getattr(number_types, f"{kind}Flags"), self._at(slot))

    def inner(self, slot: int) -> Slots:
        return Slots(self.table.Bytes, self.table.Indirect(self._at(slot)))

    def tables(self, slot: int) -> list[Slots]:
        offset = self.table.Offset(4 + 2 * slot)
        start, count = self.table.Vector(offset), self.table.VectorLen(offset)
        return [Slots(self.table.Bytes, self.table.Indirect(start + 4 * k)) for k in range(count)]

    def floats(self, slot: int) -> Any:
        from flatbuffers import number_types

        return self.table.GetVectorAsNumpy(
            number_types.Float32Flags, self.table.Offset(4 + 2 * slot)
        )


def test_a_reader_of_the_public_schema_finds_everything(network: Network, tmp_path: Path) -> None:
    path = write(network, tmp_path).path
    data = entry(path)
    assert data[4:8] == b"M001"
    model = Slots(data)
    assert [model.text(slot) for slot in (0, 1, 2, 4, 5, 7)] == [
        "cnn", "Tells food.", "2.1.0", "A. Tester", "MIT", "1.0.0",
    ]  # fmt: skip
    (graph,) = model.tables(3)
    (image,), (scores,) = graph.tables(2), graph.tables(3)
    assert (image.text(0), scores.text(0)) == ("image", "scores")
    content = image.inner(3)
    assert content.number(0, "Uint8") == 2  # ImageProperties
    picture = content.inner(1)
    assert picture.number(0, "Int8") == 1  # RGB
    size = picture.inner(1)
    assert (size.number(0, "Uint32"), size.number(1, "Uint32")) == (24, 24)
    (unit,) = image.tables(4)
    assert unit.number(0, "Uint8") == 1  # NormalizationOptions
    mean, std = unit.inner(1).floats(0), unit.inner(1).floats(1)
    pixels = np.arange(256)[:, None].repeat(3, axis=1)
    np.testing.assert_allclose((pixels - mean) / std, HOW.tensor(pixels), atol=1e-5)
    (labels,) = scores.tables(6)
    assert labels.number(2, "Int8") == 2  # TENSOR_AXIS_LABELS
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.getinfo("labels.txt").compress_type == zipfile.ZIP_STORED
        assert archive.read(labels.text(0)).decode().splitlines() == list(LABELS)


def test_it_states_what_was_declared_and_still_runs(network: Network, tmp_path: Path) -> None:
    path = write(network, tmp_path).path
    own, shared = tflite.declares(path)
    assert own.whole
    assert shared.facts["labels"] == list(LABELS)
    np.testing.assert_allclose(shared.facts["affine"], view(HOW)["affine"], rtol=1e-6)
    with closing(tflite.open(path)) as runtime:
        scores = runtime.run({"image": np.ones((1, 24, 24, 3), np.float32)})["scores"]
    assert abs(scores.sum() - 1) < 1e-5


def test_the_same_bytes_whatever_the_clock(network: Network, tmp_path: Path) -> None:
    first, second = (tmp_path / name for name in ("one", "two"))
    first.mkdir()
    second.mkdir()
    made = write(network, first).path.read_bytes()
    assert write(network, second).path.read_bytes() == made


@pytest.mark.parametrize(
    ("shape", "how", "labels", "expected"),
    [
        ((1, 2), HOW, ("no", "yes"), {"color": "rgb", "labels": ["no", "yes"]}),
        ((1, 1), None, ("no", "yes"), {"color": "rgb", "labels": ["no", "yes"]}),
        ((1, 2), Preprocessing(color="bgr"), (), {}),
    ],
)
def test_what_the_schema_cannot_say_stays_unsaid(
    shape: Any, how: Any, labels: Any, expected: Any
) -> None:
    ending = "Sigmoid" if shape[1] == 1 else "Softmax"
    subject = stand_ins.network(
        outputs={"y": shape}, ending=ending, labels=labels, preprocessing=how
    )
    file = standard.attach_files(b"model", subject)
    facts = standard.stated(file, standard.describe(subject))
    assert {k: facts[k] for k in ("color", "labels") if k in facts} == expected
    assert ("affine" in facts) is (how is not None)
    assert file.startswith(b"model")


def test_damage_is_told_apart_from_absence(network: Network) -> None:
    metadata = standard.describe(network)
    with pytest.raises(SourceError, match=r"labels file 'labels\.txt', which is not in it"):
        standard.stated(b"no archive behind this", metadata)
    broken = io.BytesIO()
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("other.txt", "a")
    with pytest.raises(SourceError, match="not in it"):
        standard.stated(broken.getvalue(), metadata)
    outcomes = set()
    rng = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(metadata)
        for place in rng.integers(0, len(changed), 3):
            changed[place] = rng.integers(0, 256)
        try:
            standard.stated(standard.attach_files(b"", network), bytes(changed))
            outcomes.add("read")
        except SourceError:
            outcomes.add("refused")
    assert "refused" in outcomes


_TASK = """
import json, sys
from tflite_support import metadata
from tflite_support.task import vision
shown = metadata.MetadataDisplayer.with_model_file(sys.argv[1])
classifier = vision.ImageClassifier.create_from_file(sys.argv[1])
found = classifier.classify(vision.TensorImage.create_from_file(sys.argv[2]))
print(json.dumps({
    "metadata": json.loads(shown.get_metadata_json()),
    "files": shown.get_packed_associated_file_list(),
    "scores": {c.category_name: c.score for c in found.classifications[0].categories},
}))
"""


@pytest.mark.apps
def test_tensorflows_task_library_takes_pictures_by_it(network: Network, tmp_path: Path) -> None:
    """tflite-support needs an older protobuf than TensorFlow, so an environment of its own."""
    path = write(network, tmp_path).path
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (24, 24, 3), np.uint8)
    stand_ins.picture(pixels).save(tmp_path / "picture.png")
    python = _task_library()
    done = subprocess.run(
        [python, "-c", _TASK, str(path), str(tmp_path / "picture.png")],
        capture_output=True,
        text=True,
    )
    if "libusb" in done.stderr:
        pytest.skip("tflite-support needs libusb-1.0 (apt-get install libusb-1.0-0)")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["metadata"]["version"] == "2.1.0"
    assert found["files"] == ["labels.txt"]
    with closing(tflite.open(path)) as runtime:
        scores = runtime.run({"image": HOW.tensor(pixels)[None]})["scores"][0]
    assert set(found["scores"]) == set(LABELS)
    for label, score in zip(LABELS, scores, strict=True):
        assert abs(found["scores"][label] - score) < 1e-4


def _task_library() -> str:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mlc" / "toolchains"
    folder = Path(os.environ.get("MLC_TOOLCHAINS", cache)) / "tflite-support-0.4.4"
    python = folder / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    if not (folder / "ready").exists():
        for command in (
            [*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [*uv, "pip", "install", "--quiet", "--python", str(python), "tflite-support==0.4.4"],
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"tflite-support cannot be installed: {done.stderr.strip()[:200]}")
        (folder / "ready").touch()
    return str(python)
