"""8 bits in every format: the original network, each vendor's default, and mlc's plan.

    python bench/eight_bits.py lite0|resnet8 [--only NAME] [--output docs/results.md]

1. `lite0`: EfficientNet-Lite0 on 500 pictures of ImageNet; every fifth calibrates.
2. `resnet8`: MLPerf Tiny's ResNet-8 on 3,000 pictures of CIFAR-10; 200 of the first 1,000 calibrate, the
   last 2,000 are compared.

Networks and pictures are in ../shared/data. Every artifact is read back from disk and run in the
runtime of its format, onnxruntime with its defaults; vendors' tools are called as their own guides do.
*Agreement* is how often the answer is the original's; intervals are of 95 % (Wilson).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mlc import targets
from mlc.convert.execute import Reference, concrete_function
from mlc.convert.network import Description, Network
from mlc.convert.read import ReadOptions, read
from mlc.optimize.optimize import Request, optimize
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import named
from mlc.targets.target import Options

SHARED = Path(__file__).parents[2] / "shared" / "data"
SIDE, KEPT, EVERY = 224, 0.875, 5

HEAD = "| format | made by | right | change | agreement | megabytes |\n|---|---|---|---|---|---|"

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Subject:
    """A network, pictures to calibrate on, others to compare on, and what it answers itself."""

    title: str
    source: Path
    network: Network
    calibration: Array
    pictures: Array
    labels: Array

    def samples(self) -> Iterator[dict[str, Array]]:
        """One calibration picture at a time."""
        for picture in self.calibration:
            yield {self.network.inputs[0].name: picture[np.newaxis]}

    @cached_property
    def answers(self) -> Array:
        """The classes of the original network."""
        return self.ask(Reference(self.network).run, self.network.inputs[0].name)

    def ask(self, run: Callable[[Any], Mapping[str, Array]], name: str) -> Array:
        """The class that `run` gives each compared picture, fed as the input of that name."""
        found = []
        for picture in self.pictures:
            (scores,) = run({name: picture[np.newaxis]}).values()
            found.append(int(np.argmax(scores)))
        return np.array(found)


def lite0() -> Subject:
    """EfficientNet-Lite0 with ImageNet weights."""
    source = SHARED / "models" / "efficientnet_lite0_imagenet.keras"
    files = sorted((SHARED / "imagenet_500").glob("*.jpg"))
    pictures = np.stack([tensor(file) for file in files])
    labels = np.array([int(file.name[:4]) for file in files])
    compared = np.arange(len(files)) % EVERY != 0
    network = read(source, Description("lite0"), ReadOptions())
    found = pictures[~compared], pictures[compared], labels[compared]
    return Subject("EfficientNet-Lite0, ImageNet", source, network, *found)


def resnet8() -> Subject:
    """ResNet-8 as MLPerf Tiny publishes it."""
    source = SHARED / "models" / "mlperf_tiny" / "pretrainedResnet.h5"
    stored = np.load(SHARED / "cifar10_3000.npz")
    pictures, labels = stored["images"].astype(np.float32), stored["labels"].reshape(-1)
    network = read(source, Description("resnet8"), ReadOptions())
    found = pictures[:1000:5], pictures[1000:], labels[1000:]
    return Subject("ResNet-8 of MLPerf Tiny, CIFAR-10", source, network, *found)


SUBJECTS = {"lite0": lite0, "resnet8": resnet8}


def tensor(file: Path) -> Array:
    """The centre of a picture as the network was trained on it: (224, 224, 3), -0.99 … 1."""
    from PIL import Image

    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    side = int(KEPT * min(picture.size))
    left, top = ((length - side) // 2 for length in picture.size)
    picture = picture.crop((left, top, left + side, top + side))
    picture = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return (np.asarray(picture, np.float32) - 127) / 128


def ours(subject: Subject, target: str, recipe: str, folder: Path, ios: int = 16) -> Path:
    """What a build writes."""
    network, plan = planned(subject, recipe)
    room = targets.target(target)
    path = folder / f"ours{room.SUFFIX}"
    room.emit(network, plan, None, Options(ios=ios), path)
    return path


@cache
def planned(subject: Subject, recipe: str) -> tuple[Network, Plan]:
    """Network and plan that all formats are made of."""
    with tempfile.TemporaryDirectory() as folder:
        request = Request(named(recipe), subject.samples)
        plan, steps = optimize(Path(folder), subject.network, request)
        for step in steps:
            print(f"{recipe}: {step.name}, gain {step.gain}", file=sys.stderr)
        return Network.load(Path(folder)), plan


def mlperf(subject: Subject, folder: Path) -> Path:
    """The int8 file that MLPerf Tiny publishes beside the network."""
    return subject.source.with_name(f"{subject.source.stem}_quant.tflite")


def tflite_int8(subject: Subject, folder: Path) -> Path:
    """Post-training quantization with a representative data set."""
    return _tflite(subject, folder, subject.samples)


def tflite_dynamic(subject: Subject, folder: Path) -> Path:
    """Post-training dynamic range quantization."""
    return _tflite(subject, folder, None)


def _tflite(subject: Subject, folder: Path, samples: Callable[[], Any] | None) -> Path:
    import tensorflow as tf

    function = concrete_function(subject.network)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], function)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if samples is not None:
        converter.representative_dataset = lambda: (list(feeds.values()) for feeds in samples())
    path = folder / "vendor.tflite"
    path.write_bytes(converter.convert())
    return path


def onnx_static(subject: Subject, folder: Path, reduce_range: bool) -> Path:
    """What onnxruntime's quantize_static makes: QDQ, int8, per channel."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = subject.samples()

        def get_next(self) -> Any:
            return next(self.batches, None)

    plain, prepared, path = (folder / f"{n}.onnx" for n in ("plain", "prepared", "vendor"))
    fp32 = ours(subject, "onnx", "fp32", folder)
    fp32.rename(plain)
    quant_pre_process(str(plain), str(prepared))
    quantize_static(
        str(prepared),
        str(path),
        Reader(),
        per_channel=True,
        activation_type=QuantType.QUInt8 if reduce_range else QuantType.QInt8,
        weight_type=QuantType.QInt8,
        reduce_range=reduce_range,
    )
    return path


def tfjs_uint8(subject: Subject, folder: Path) -> Path:
    """tensorflowjs_converter --quantize_uint8."""
    import tensorflow as tf
    from tensorflowjs.converters import converter

    saved, path = folder / "saved", folder / "vendor"
    function = concrete_function(subject.network)
    module = tf.Module()
    module.serve = tf.function(lambda **feeds: function(**feeds))
    spec = subject.network.inputs[0]
    signature = module.serve.get_concrete_function(
        **{spec.name: tf.TensorSpec(spec.shape, spec.dtype, spec.name)}
    )
    tf.saved_model.save(module, str(saved), signature)
    options = ["--input_format=tf_saved_model", "--quantize_uint8=*", str(saved), str(path)]
    converter.convert(options)
    return path


ROWS: dict[str, tuple[str, str, Callable[[Subject, Path], Path]]] = {
    "TFLite int8, MLPerf": ("tflite", "MLPerf Tiny", mlperf),
    "TFLite int8, TFLiteConverter": ("tflite", "TFLiteConverter", tflite_int8),
    "TFLite dynamic, TFLiteConverter": ("tflite", "TFLiteConverter, dynamic range", tflite_dynamic),
    "TFLite int8, mlc": ("tflite", "**mlc** `--int8`", lambda s, f: ours(s, "tflite", "int8", f)),
    "TFLite weights, mlc": (
        "tflite",
        "**mlc** `--recipe int8-weights`",
        lambda s, f: ours(s, "tflite", "int8-weights", f),
    ),
    "ONNX S8S8, onnxruntime": (
        "onnx",
        "quantize_static, S8S8",
        lambda s, f: onnx_static(s, f, reduce_range=False),
    ),
    "ONNX reduced, onnxruntime": (
        "onnx",
        "quantize_static, U8S8, reduce_range",
        lambda s, f: onnx_static(s, f, reduce_range=True),
    ),
    "ONNX int8, mlc": ("onnx", "**mlc** `--int8`", lambda s, f: ours(s, "onnx", "int8", f)),
    "TF.js uint8, tensorflowjs": ("tfjs", "tensorflowjs_converter, uint8", tfjs_uint8),
    "TF.js int8, mlc": ("tfjs", "**mlc** `--int8`", lambda s, f: ours(s, "tfjs", "int8", f)),
    "Core ML int8, mlc": (
        "coreml",
        "**mlc** `--int8 --ios 17`",
        lambda s, f: ours(s, "coreml", "int8", f, ios=17),
    ),
    "Core ML weights, mlc": (
        "coreml",
        "**mlc** `--recipe int8-weights`",
        lambda s, f: ours(s, "coreml", "int8-weights", f),
    ),
}


def row(subject: Subject, name: str) -> str:
    """Make an artifact, run it on all compared pictures, and say how it did."""
    target, maker, make = ROWS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = make(subject, Path(folder))
        with closing(targets.target(target).open(path)) as runtime:
            answers = subject.ask(runtime.run, runtime.inputs[0].name)
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        size = sum(p.stat().st_size for p in files) / 1e6
    labels = subject.labels
    right, before = (answers == labels).sum(), (subject.answers == labels).sum()
    change = 100 * (int(right) - int(before)) / len(labels)
    agreeing = share(int((answers == subject.answers).sum()), len(labels))
    cells = (targets.title(target), maker, share(int(right), len(labels)), f"{change:+.2f}")
    return f"| {' | '.join((*cells, agreeing, f'{size:.2f}'))} |"


def share(part: int, count: int) -> str:
    from scipy.stats import binomtest

    low, high = binomtest(part, count).proportion_ci(0.95, method="wilson")
    return f"{part / count:.2%} ({low:.1%}–{high:.1%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("--only", default="", help="part of a row's name")
    parser.add_argument("--output", type=Path, help="append the table to this file")
    options = parser.parse_args()
    subject = SUBJECTS[options.subject]()
    count = len(subject.labels)
    right = share(int((subject.answers == subject.labels).sum()), count)
    lines = [f"| original | Keras | {right} | | | {subject.source.stat().st_size / 1e6:.2f} |"]
    print(lines[0], flush=True)
    for name in ROWS:
        wanted = options.only.lower() in name.lower()
        if wanted and ("MLPerf" not in name or options.subject == "resnet8"):
            lines.append(row(subject, name))
            print(lines[-1], flush=True)
    if options.output:
        others = len(subject.calibration)
        text = f"\n## 8 bits: {subject.title}\n\nn = {count}; {others} others calibrate.\n"
        with options.output.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n{HEAD}\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
