"""The same exam for every language: pictures to preprocess, scores to read, golden cases to judge.

A harness in the language reads `exam.json` and writes what its bindings make of it; Python marks it.

* `pixels`: for each row, `N.fit` (bytes) and `N.tensor` (float32) beside the picture `N.rgba`;
* `scores`, `golden`, `yuv`: in `answers.json`.

The model of the golden cases is simple enough to be written again in each harness: a score is the mean of
a channel of the tensor. A fault is added to what it answers, or made in its preprocessing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlc.bundle.write import Bundle
from mlc.convert.network import Network
from mlc.convert.preprocessing import Preprocessing
from mlc.data.npz import open_npz
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import FLOAT32
from mlc.report.report import Report, Row
from mlc.store import tree_digest
from mlc.targets.target import Emission
from mlc.validate import golden
from mlc.validate.evidence import Evidence, OutputError, Parity
from mlc.validate.size import measure
from tests import stand_ins

if TYPE_CHECKING:
    from PIL.Image import Image

LABELS = ('a "quoted" $label', "zwei\\", "三")
HOW = Preprocessing(
    color="rgb",
    resize="crop",
    crop_fraction=0.875,
    scale=1 / 255,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


@dataclass(frozen=True)
class PixelCase:
    picture: Image
    height: int
    width: int
    how: Preprocessing

    @property
    def name(self) -> str:
        source = f"{self.picture.width}x{self.picture.height}"
        return f"{source} to {self.width}x{self.height} {self.how.resize} {self.how.color}"


def pixel_cases() -> list[PixelCase]:
    """Up and down, all aspects, all rules and colours; some that are easily wrong, then random ones."""
    rng = np.random.default_rng(0)

    def picture(width: int, height: int) -> Image:
        # Noise on a gradient: resizing must weigh, and clip at both ends.
        ramp = np.linspace(-80, 335, width)[None, :, None] + rng.normal(0, 60, (height, width, 3))
        noise: Image = stand_ins.picture(np.clip(ramp, 0, 255).astype(np.uint8))
        return noise

    odd = [
        ((224, 224), (224, 224), "stretch", 1.0),  # nothing to resize
        ((1, 1), (7, 5), "stretch", 1.0),
        ((1, 40), (8, 8), "letterbox", 1.0),
        ((301, 2), (16, 16), "crop", 1.0),
        ((640, 480), (224, 224), "crop", 0.875),
        ((99, 100), (32, 33), "letterbox", 1.0),  # 31.68 and 32.5 rows: halves are rounded to even
        ((13, 65), (65, 13), "letterbox", 1.0),
        ((1920, 1080), (96, 96), "letterbox", 1.0),
        ((333, 256), (224, 224), "crop", 0.875),  # odd margins
        ((30, 20), (160, 160), "crop", 0.33),
        ((256, 256), (224, 224), "crop", 1.0),
        ((500, 375), (299, 299), "stretch", 1.0),
    ]
    rules = ("stretch", "crop", "letterbox")
    for k in range(24):
        source, target = rng.integers(1, 200, 2), rng.integers(1, 64, 2)
        odd.append((tuple(source), tuple(target), rules[k % 3], float(rng.uniform(0.2, 1))))
    cases = []
    colors = ("rgb", "bgr", "gray")
    for k, ((width, height), (to_width, to_height), resize, fraction) in enumerate(odd):
        color = colors[k // 3 % 3]
        channels = 1 if color == "gray" else 3
        how = Preprocessing(
            color=color,  # type: ignore[arg-type]
            resize=resize,  # type: ignore[arg-type]
            crop_fraction=fraction,
            scale=(1.0, 1 / 255, 1 / 127.5)[k % 3],
            mean=tuple(rng.uniform(0, 1, (1, channels)[k % 2])),
            std=tuple(rng.uniform(0.1, 2, (channels, 1)[k // 2 % 2])),
        )
        cases.append(
            PixelCase(picture(int(width), int(height)), int(to_height), int(to_width), how)
        )
    return cases


def score_cases() -> list[dict[str, Any]]:
    return [
        {"scores": [0.1, 0.7, 0.2], "kind": "probabilities", "labels": ["a", "b", "c"], "k": 2},
        {"scores": [1.0, 3.0, -2.0], "kind": "logits", "labels": ["a", "b", "c"], "k": 3},
        {"scores": [1000.0, 999.0], "kind": "logits", "labels": ["a", "b"], "k": 2},
        {"scores": [0.25], "kind": "probabilities", "labels": ["no", "yes"], "k": 5},
        {"scores": [0.5, 0.5, 0.0], "kind": "probabilities", "labels": ["x", "y", "z"], "k": 2},
    ]


def expected_top(case: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    scores = np.asarray(case["scores"], np.float64)
    if case["kind"] == "logits":
        powers = np.exp(scores - scores.max())
        scores = powers / powers.sum()
    if len(scores) == 1:
        scores = np.array([1 - scores[0], scores[0]])
    order = np.argsort(-scores, kind="stable")[: case["k"]]
    return [(case["labels"][i], int(i), float(scores[i])) for i in order]


# --- a bundle ---


def network() -> Network:
    return stand_ins.network(
        {"image": (1, 20, 24, 3)}, ending="MatMul", labels=LABELS, preprocessing=HOW
    )


def means(feeds: Mapping[str, Any]) -> Mapping[str, Any]:
    """The model: scores are the means of the channels."""
    return {"scores": feeds["image"].astype(np.float64).mean(axis=(1, 2)).astype(np.float32)}


def bundle(folder: Path) -> Path:
    """A bundle whose artifacts are no models, with golden cases of three pictures."""
    rng = np.random.default_rng(1)
    pictures = rng.integers(0, 256, (5, 60, 80, 3)) * rng.uniform(0.2, 1, (5, 1, 1, 3))
    np.savez(folder / "data.npz", x=pictures.astype(np.uint8))
    subject = network()
    data = open_npz(folder / "data.npz", subject, 5)
    cases = folder / "cases"
    runtime = stand_ins.Function(subject, means)
    golden.record_cases(runtime, subject, data, 3, cases)
    measured = golden.measure(runtime, subject, cases)
    parity = Parity(5, (OutputError("scores", 2.0, 0.0, 0.0, None),), 1.0)
    evidence = Evidence(parity=parity, golden=measured)
    rows, artifacts = [], {}
    for target, name in (("coreml", "m.mlpackage"), ("tflite", "m.tflite"), ("onnx", "m.onnx")):
        path = folder / name
        path.write_bytes(target.encode())
        artifacts[target] = path
        emission = Emission(path, "float32", "float32")
        rows.append(Row(target, "verified", emission, measure(path), tree_digest(path), evidence))
    with Bundle(folder / "dist") as made:
        report = Report(subject, 1, "fp32", "rows", False, tuple(rows))
        made.write(report, artifacts, Plan(FLOAT32), cases)
    return folder / "dist"


# --- writing and marking ---


def write(folder: Path, dist: Path) -> None:
    """Write the exam: questions of all kinds, the golden pictures decoded beside them."""
    rows = []
    for k, case in enumerate(pixel_cases()):
        (folder / f"{k}.rgba").write_bytes(case.picture.convert("RGBA").tobytes())
        size = {"pictureWidth": case.picture.width, "pictureHeight": case.picture.height}
        rows.append({**size, "height": case.height, "width": case.width, **case.how.to_json()})
    decode_golden(dist)
    y, u, v = yuv_planes()
    exam = {
        "pixels": rows,
        "scores": score_cases(),
        "faults": [asdict(f) for f in FAULTS],
        "dist": str(dist),
        "yuv": {"width": 6, "height": 4, "y": y.tolist(), "u": u.tolist(), "v": v.tolist()},
    }
    (folder / "exam.json").write_text(json.dumps(exam))


def decode_golden(dist: Path) -> None:
    """Beside each golden PNG its pixels, for languages that have no decoder here: width, height, RGBA."""
    from PIL import Image

    for png in (dist / "golden").glob("*.png"):
        with Image.open(png) as image:
            size = np.array(image.size, "<i4").tobytes()
            png.with_suffix(".rgba").write_bytes(size + image.convert("RGBA").tobytes())


@dataclass(frozen=True)
class Fault:
    """What is wrong with the model under test, and how the self-test must say so."""

    offset: float  # added to its scores
    mirrored: bool  # pictures are fed the wrong way round
    passes: bool
    reason: str


FAULTS = (
    Fault(0, False, True, ""),
    Fault(0.019, False, True, ""),  # the tolerance is 1 % of the span of 2
    Fault(0.021, False, False, "scores is off by 0.02"),
    Fault(0, True, False, "The preprocessed picture is off by"),
)


def mark_pixels(folder: Path) -> float:
    """Every picture must be Python's to the last bit. Returns the largest difference of a pixel, 0..1."""
    worst = 0.0
    for k, case in enumerate(pixel_cases()):
        expected = case.how.pixels(case.picture, case.height, case.width)
        fit = np.frombuffer((folder / f"{k}.fit").read_bytes(), np.uint8).reshape(expected.shape)
        worst = max(worst, float(np.abs(fit.astype(int) - expected.astype(int)).max()) / 255)
        assert np.array_equal(fit, expected), case.name
        tensor = np.frombuffer((folder / f"{k}.tensor").read_bytes(), "<f4")
        assert np.array_equal(tensor.reshape(expected.shape), case.how.tensor(expected)), case.name
    return worst


def mark_answers(folder: Path) -> None:
    answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    for case, got in zip(score_cases(), answers["scores"], strict=True):
        for (label, index, share), row in zip(expected_top(case), got, strict=True):
            assert (row["label"], row["index"]) == (label, index)
            assert abs(row["probability"] - share) < 1e-6
    for fault, cases in zip(FAULTS, answers["golden"], strict=True):
        assert [c["passed"] for c in cases] == [fault.passes] * 3, (fault, cases)
        for case in cases:
            assert case["reason"].startswith(fault.reason), (fault, case)
            assert case["expected"] in LABELS
            assert (case["pixelError"] == 0) is not fault.mirrored


def mark_yuv(folder: Path) -> None:
    """Within one of Pillow's conversion, which rounds in fixed point; a quarter turn clockwise too."""
    from PIL import Image

    y, u, v = yuv_planes()
    halves = [np.repeat(np.repeat(p, 2, axis=0), 2, axis=1) for p in (u, v)]
    frame = Image.merge("YCbCr", [Image.fromarray(p) for p in (y, *halves)])
    rgb = np.asarray(frame.convert("RGB")).astype(int)
    answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    for got, expected in (
        (answers["yuv"], rgb),
        (answers["turned"], np.rot90(rgb, -1)),
    ):
        array = np.array(got).reshape(expected.shape)
        assert np.abs(array - expected).max() <= 1


def yuv_planes() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(2)
    sizes = ((4, 6), (2, 3), (2, 3))
    y, u, v = (rng.integers(0, 256, size).astype(np.uint8) for size in sizes)
    return y, u, v
