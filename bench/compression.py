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

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.results import renew, share
from bench.subjects import Subject, lite0
from mlc.convert.network import Network
from mlc.optimize.calibrate import Samples
from mlc.optimize.optimize import Request, optimize
from mlc.optimize.recipe import named
from mlc.targets import coreml
from mlc.targets.target import Options

BITS = (1, 2, 4, 6, 8, 16)
FORMS = {"integers": "w{}", "uniform palette": "w{}-uniform", "k-means palette": "w{}-palette"}
INTEGERS = (4, 8)  # what Core ML holds
MEGABYTE = 1e6


@dataclass(frozen=True)
class Result:
    """Of one package on all compared pictures."""

    agreeing: int
    right: int
    count: int
    size: int
    became: str


@dataclass(frozen=True)
class Packages:
    """Packages of one network, made in `folder`."""

    subject: Subject
    folder: Path

    def result(self, package: Path, became: str) -> Result:
        """Of a saved package."""
        subject = self.subject
        answers = subject.ask(coreml.open(package).run, subject.network.inputs[0].name)
        size = sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
        agreeing, right = subject.answers == answers, subject.labels == answers
        return Result(int(agreeing.sum()), int(right.sum()), len(answers), size, became)

    def ours(self, recipe: str, samples: Samples | None) -> Result:
        """Of what a build writes."""
        stage, package = self.folder / "stage", self.folder / "ours.mlpackage"
        stage.mkdir(exist_ok=True)
        plan, _ = optimize(stage, self.subject.network, Request(named(recipe), samples))
        network = Network.load(stage)
        emission = coreml.emit(network, plan, self.subject.samples, Options(ios=18), package)
        became = f"{emission.weights} weights, {emission.activations} activations"
        return self.result(package, "; ".join([became, *plan.passes]))

    def stock(self, compress: Callable[[Any, Any], Any] | None) -> Result:
        """Of what coremltools makes of the frozen network by itself."""
        import coremltools as ct
        import coremltools.optimize.coreml as cto

        from mlc.convert.execute import concrete_function

        (image,) = self.subject.network.inputs
        model = ct.convert(
            [concrete_function(self.subject.network)],
            source="tensorflow",
            inputs=[ct.TensorType(name=image.name, shape=image.shape)],
            minimum_deployment_target=ct.target.iOS18,
            skip_model_load=True,
        )
        if compress is not None:
            model = compress(model, cto)
        package = self.folder / "stock.mlpackage"
        model.save(str(package))
        return self.result(package, "coremltools' defaults")


def bits(packages: Packages, only: str) -> Iterator[str]:
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
            bare = packages.ours(recipe, None)
            tuned = bare if count == 16 else packages.ours(recipe, packages.subject.samples)
            name = "float16" if count == 16 else form
            passes = ", ".join(tuned.became.split("; ")[1:])
            yield (
                f"| {count} | {name} | {share(bare.agreeing, bare.count)} "
                f"| {share(tuned.agreeing, tuned.count)} | {share(tuned.right, tuned.count)} "
                f"| {tuned.size / MEGABYTE:.2f} MB | {passes} |"
            )


def eight(packages: Packages, only: str) -> Iterator[str]:
    subject, ours, stock = packages.subject, packages.ours, packages.stock
    labels = subject.labels
    right = int((subject.answers == labels).sum())
    yield "| package | agreement | top-1 | change in points | size | became |"
    yield "|---|---|---|---|---|---|"
    yield f"| original, TensorFlow | | {share(right, len(labels))} | | | |"
    rows: dict[str, Callable[[], Result]] = {
        "mlc, int8-weights": lambda: ours("int8-weights", subject.samples),
        "coremltools, linear_quantize_weights": lambda: stock(_linear),
        "mlc, int8": lambda: ours("int8", subject.samples),
        "mlc, int8-weights without data": lambda: ours("int8-weights", None),
        "mlc, fp16": lambda: ours("fp16", subject.samples),
        "coremltools, float16": lambda: stock(None),
        "mlc, w4-palette": lambda: ours("w4-palette", subject.samples),
        "coremltools, palettize_weights to 4 bits": lambda: stock(_palettes),
    }
    for name, build in rows.items():
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
        subject = lite0()
        compared, others = len(subject.labels), len(subject.calibration)
        intro = (
            f"`python bench/compression.py {options.table}`: the saved package, executed; n = {compared} "
            f"pictures compared, {others} others calibrate, iOS 18."
        )
        for line in rows(Packages(subject, Path(folder)), options.only):
            lines.append(line)
            print(f"{time.perf_counter() - start:5.0f} s {line}", flush=True)
            if options.output:  # row by row: a run takes long
                section = [f"## {title}", "", intro, "", *lines, ""]
                renew(options.output, title, "\n".join(section))


if __name__ == "__main__":
    main()
