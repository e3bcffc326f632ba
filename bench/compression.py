"""Compressed weights in Core ML: how often the package answers as the original network does.

    python bench/compression.py TABLE [--only RECIPE] [--output docs/results.md]

1. `bits`: 1, 2, 4, 6, 8, 16 bits × integers, evenly spaced palettes, palettes by k-means; each planned
   without data (weights to the nearest value), and on calibration pictures.
2. `eight`: int8 weights, and int8 weights and activations, beside coremltools' own defaults.

EfficientNet-Lite0 with ImageNet weights is in ../shared/data. Of its 500 pictures every fifth
calibrates, the other 400 are compared. Every figure is of the saved `.mlpackage`, executed by mlc's
evaluator as its types are declared.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from mlc.convert.execute import Reference
from mlc.convert.network import Description, Network
from mlc.convert.read import ReadOptions, read
from mlc.optimize.calibrate import Samples
from mlc.optimize.optimize import Request, optimize
from mlc.optimize.recipe import named
from mlc.targets import coreml
from mlc.targets.target import Options, Runtime

SHARED = Path(__file__).parents[2] / "shared" / "data"
SOURCE = SHARED / "models" / "efficientnet_lite0_imagenet.keras"
PICTURES = SHARED / "imagenet_500"
SIDE, KEPT, EVERY = 224, 0.875, 5

BITS = (1, 2, 4, 6, 8, 16)
FORMS = {"integers": "w{}", "uniform palette": "w{}-uniform", "k-means palette": "w{}-palette"}
INTEGERS = (4, 8)  # what Core ML holds
MEGABYTE = 1e6

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Result:
    """Of one package on all compared pictures."""

    agreeing: int
    right: int
    count: int
    size: int
    became: str


class Subject:
    """The network, its pictures, and what it answers itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = read(SOURCE, Description("lite0"), ReadOptions())
        (self.input,) = self.network.inputs
        files = sorted(PICTURES.glob("*.jpg"))
        self.pictures = np.stack([tensor(file) for file in files])
        self.labels = np.array([int(file.name[:4]) for file in files])
        self.compared = np.arange(len(files)) % EVERY != 0
        self.answers = self.ask(Reference(self.network))

    def samples(self) -> Iterator[dict[str, Array]]:
        for picture in self.pictures[~self.compared]:
            yield {self.input.name: picture[np.newaxis]}

    def ask(self, runtime: Runtime | Reference) -> Array:
        """The class that it gives each compared picture."""
        found = []
        for picture in self.pictures[self.compared]:
            (scores,) = runtime.run({self.input.name: picture[np.newaxis]}).values()
            found.append(int(np.argmax(scores)))
        return np.array(found)

    def result(self, package: Path, became: str) -> Result:
        answers = self.ask(coreml.open(package))
        size = sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
        right = self.labels[self.compared] == answers
        agreeing = self.answers == answers
        return Result(int(agreeing.sum()), int(right.sum()), len(answers), size, became)

    def ours(self, recipe: str, samples: Samples | None) -> Result:
        stage, package = self.folder / "stage", self.folder / "ours.mlpackage"
        stage.mkdir(exist_ok=True)
        plan, _ = optimize(stage, self.network, Request(named(recipe), samples))
        network = Network.load(stage)
        emission = coreml.emit(network, plan, self.samples, Options(ios=18), package)
        became = f"{emission.weights} weights, {emission.activations} activations"
        return self.result(package, "; ".join([became, *plan.passes]))

    def stock(self, compress: Callable[[Any, Any], Any] | None) -> Result:
        """What coremltools makes of the frozen network by itself."""
        import coremltools as ct
        import coremltools.optimize.coreml as cto

        from mlc.convert.execute import concrete_function

        model = ct.convert(
            [concrete_function(self.network)],
            source="tensorflow",
            inputs=[ct.TensorType(name=self.input.name, shape=self.input.shape)],
            minimum_deployment_target=ct.target.iOS18,
            skip_model_load=True,
        )
        if compress is not None:
            model = compress(model, cto)
        package = self.folder / "stock.mlpackage"
        model.save(str(package))
        return self.result(package, "coremltools' defaults")


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


def bits(subject: Subject, only: str) -> Iterator[str]:
    yield "| bits | weights | match without data | match with 100 pictures | top-1 | package | passes |"
    yield "|---|---|---|---|---|---|---|"
    for count in reversed(BITS):
        for form, pattern in FORMS.items():
            recipe = "fp16" if count == 16 else pattern.format(count)
            if only not in recipe or (count == 16 and form != "integers"):
                continue
            if form == "integers" and count not in (*INTEGERS, 16):
                yield f"| {count} | {form} | Core ML holds none of {count} bits | | | | |"
                continue
            bare = subject.ours(recipe, None)
            tuned = bare if count == 16 else subject.ours(recipe, subject.samples)
            name = "float16" if count == 16 else form
            passes = ", ".join(tuned.became.split("; ")[1:])
            yield (
                f"| {count} | {name} | {share(bare.agreeing, bare.count)} "
                f"| {share(tuned.agreeing, tuned.count)} | {share(tuned.right, tuned.count)} "
                f"| {tuned.size / MEGABYTE:.2f} MB | {passes} |"
            )


def eight(subject: Subject, only: str) -> Iterator[str]:
    labels = subject.labels[subject.compared]
    right = int((subject.answers == labels).sum())
    yield "| package | agreement | top-1 | change in points | size | became |"
    yield "|---|---|---|---|---|---|"
    yield f"| original, TensorFlow | | {share(right, len(labels))} | | | |"
    packages: dict[str, Callable[[], Result]] = {
        "mlc, int8-weights": lambda: subject.ours("int8-weights", subject.samples),
        "coremltools, linear_quantize_weights": lambda: subject.stock(_linear),
        "mlc, int8": lambda: subject.ours("int8", subject.samples),
        "mlc, int8-weights without data": lambda: subject.ours("int8-weights", None),
        "mlc, fp16": lambda: subject.ours("fp16", subject.samples),
        "coremltools, float16": lambda: subject.stock(None),
        "mlc, w4-palette": lambda: subject.ours("w4-palette", subject.samples),
        "coremltools, palettize_weights to 4 bits": lambda: subject.stock(_palettes),
    }
    for name, build in packages.items():
        if only in name:
            found = build()
            yield (
                f"| {name} | {share(found.agreeing, found.count)} | {share(found.right, found.count)} "
                f"| {100 * (found.right - right) / found.count:+.2f} | {found.size / MEGABYTE:.2f} MB "
                f"| {found.became} |"
            )


def _linear(model: Any, cto: Any) -> Any:
    return cto.linear_quantize_weights(
        model, cto.OptimizationConfig(global_config=cto.OpLinearQuantizerConfig())
    )


def _palettes(model: Any, cto: Any) -> Any:
    config = cto.OpPalettizerConfig(nbits=4, mode="kmeans")
    return cto.palettize_weights(model, cto.OptimizationConfig(global_config=config))


def share(part: int, count: int) -> str:
    """In percent, with the 95 % Wilson interval."""
    from scipy.stats import binomtest

    ends = binomtest(part, count).proportion_ci(0.95, method="wilson")
    return f"{part / count:.2%} ({ends.low:.1%}–{ends.high:.1%})"


TABLES = {
    "bits": ("EfficientNet-Lite0 in Core ML: bits of weights", bits),
    "eight": ("EfficientNet-Lite0 in Core ML: 8 and 4 bits, beside coremltools", eight),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--only", default="", help="part of a recipe or row")
    parser.add_argument(
        "--output", type=Path, help="the file whose section of that title is renewed"
    )
    options = parser.parse_args()
    title, rows = TABLES[options.table]
    start, lines = time.perf_counter(), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(Path(folder))
        compared = int(subject.compared.sum())
        intro = (
            f"`python bench/compression.py {options.table}`: the saved package, executed; n = {compared} "
            f"pictures compared, {len(subject.compared) - compared} others calibrate, iOS 18."
        )
        for line in rows(subject, options.only):
            lines.append(line)
            print(f"{time.perf_counter() - start:5.0f} s {line}", flush=True)
            if options.output:  # row by row: a run takes long
                section = [f"## {title}", "", intro, "", *lines, ""]
                renew(options.output, title, "\n".join(section))


def renew(file: Path, title: str, section: str) -> None:
    """Put the section in the place of that of the same title, or at the end."""
    text = file.read_text(encoding="utf-8") if file.exists() else "# Results\n"
    head = f"## {title}\n"
    before, found, after = text.partition(head)
    rest = after[after.find("\n## ") :] if "\n## " in after else ""
    kept = before if found else f"{text.rstrip()}\n\n"
    file.write_text(kept + section + rest, encoding="utf-8")


if __name__ == "__main__":
    main()
