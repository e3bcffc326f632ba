"""8 bits in every format: the original network, each vendor's default, and mlc's plan.

    python bench/eight_bits.py lite0|resnet8|scaled|hotdog [--only NAME] [--output docs/results.md]

1. `lite0`: EfficientNet-Lite0 on 500 pictures of ImageNet; every fifth calibrates.
2. `resnet8`: MLPerf Tiny's ResNet-8 on 3,000 pictures of CIFAR-10; 200 of the first 1,000 calibrate, the
   last 2,000 are compared.
3. `scaled`: the same network with channels of unlike size, as some trainings leave them.
4. `hotdog`: the example Not Hotdog on the 344 photos of its test folder; 200 of train/ calibrate.

Networks and pictures are in ../shared/data. Every artifact is read back from disk and run in the
runtime of its format, onnxruntime with its defaults; vendors' tools are called as their own guides do.
*Agreement* is how often the answer is the original's. With --only, the other rows of --output stay.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.results import merged, renew, share, table
from bench.subjects import Subject, hotdog, lite0, resnet8, scaled
from mlc import targets
from mlc.convert.execute import concrete_function
from mlc.convert.network import Network
from mlc.optimize.optimize import Request, optimize
from mlc.optimize.plan import Plan
from mlc.optimize.recipe import named
from mlc.store import tools
from mlc.targets.target import Options

HEAD = "| format | made by | right | change | agreement | megabytes |\n|---|---|---|---|---|---|"

SUBJECTS = {"lite0": lite0, "resnet8": resnet8, "scaled": scaled, "hotdog": hotdog}

ASKED = {
    "lite0": "What we want: TFLite, TF.js and Core ML's weights lose at most 0.25 points, and agree on "
    "98, 99 and 99 %; ONNX 0.75 and 97 %; Core ML in integers 0.5 and 97.5 %.",
    "resnet8": "What we want: no less agreement than MLPerf's own int8 file, which has 94.8 % of all.",
    "scaled": "Channels between two layers are multiplied by 2^U(-3, 3), divided again in the second: "
    "the same function. What we want: at most one point less, per channel and per tensor.",
    "hotdog": "What we want: no more than 0.6 points less than the original.",
}


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
    "TFLite per tensor, mlc": (
        "tflite",
        "**mlc** `--recipe w8a8-per-tensor`",
        lambda s, f: ours(s, "tflite", "w8a8-per-tensor", f),
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
    "ONNX per tensor, mlc": (
        "onnx",
        "**mlc** `--recipe w8a8-per-tensor`",
        lambda s, f: ours(s, "onnx", "w8a8-per-tensor", f),
    ),
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

ONE_SUBJECT = {"MLPerf": "resnet8", "per tensor": "scaled"}  # rows of these names


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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("--only", default="", help="part of a row's name")
    parser.add_argument(
        "--output", type=Path, help="the file whose section of that title is renewed"
    )
    options = parser.parse_args()
    subject = SUBJECTS[options.subject]()
    count = len(subject.labels)
    right = share(int((subject.answers == subject.labels).sum()), count)
    lines = [f"| original | Keras | {right} | | | {subject.source.stat().st_size / 1e6:.2f} |"]
    print(lines[0], flush=True)
    for name in ROWS:
        others = {part for part, its in ONE_SUBJECT.items() if its != options.subject}
        if options.only.lower() in name.lower() and not any(part in name for part in others):
            lines.append(row(subject, name))
            print(lines[-1], flush=True)
    if options.output:
        title = f"8 bits: {subject.title}"
        versions = ", ".join(f"{name} {version}" for name, version in tools().items())
        intro = [
            f"`python bench/eight_bits.py {options.subject}`: every artifact read back from disk and run "
            f"in the runtime of its format; n = {count}, {len(subject.calibration)} others calibrate. "
            f"In brackets 95 % intervals (Wilson). {ASKED[options.subject]}",
            f"{platform.machine()}; {versions}.",
        ]
        rows = merged(table(options.output, title), lines, columns=2)
        renew(
            options.output,
            title,
            "\n\n".join([f"## {title}", *intro, "\n".join([HEAD, *rows, ""])]),
        )


if __name__ == "__main__":
    sys.exit(main())
