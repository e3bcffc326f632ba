"""Training-time compression in numbers, one table per command.

    python bench/training.py TABLE [--epochs N] [--only VARIANT] [--output docs/results.md]

ResNet-8 of MLPerf Tiny learns from the first 1,000 pictures of ../shared/data/cifar10_3000.npz and is
compared on the last 2,000; Not Hotdog learns from the train folder and is compared on the test folder.
Every row is a `mlc build` of its own: what is measured is the artifact. In the end all of a table are
timed in the same interleaved rounds, against the float32 one; builds are remembered, so a second call, on
a quiet machine, is only that.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import mlc
from bench.results import renew, share
from mlc import targets
from mlc.data.dataset import batches
from mlc.data.synthesized import synthesize
from mlc.report.report import Report
from mlc.validate.compare import as_fed, match
from mlc.validate.latency import interleave

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
RESNET = SHARED / "models" / "mlperf_tiny" / "pretrainedResnet.h5"
HOTDOG = ROOT / "examples" / "not_hotdog" / "not_hotdog.h5"
HEAD = (
    "| variant | accuracy (95 % interval) | agreement (95 % interval) | size | gzip | kept epoch "
    "| times as fast (quartiles) |",
    "|---|---|---|---|---|---|---|",
)

TRAINED = {"prune", "prune_channels", "cluster", "qat"}  # flags that make a build train

TABLES: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "quantize": (
        "ResNet-8: after training, and trained for it",
        {
            "float32": {},
            "int8, after training": {"recipe": "int8"},
            "int8, after training, percentile ranges": {"recipe": "int8", "ranges": "percentile"},
            "int8, trained for it": {"recipe": "int8", "qat": True},
            "int8, trained for it, percentile ranges": {
                "recipe": "int8", "qat": True, "ranges": "percentile",
            },
        },
    ),
    "sparsity": (
        "ResNet-8: unstructured and 2:4 sparsity, float32",
        {"float32": {}}
        | {f"pruned to {share}": {"prune": share} for share in (0.5, 0.75, 0.875, "2:4")},
    ),
    "channels": (
        "ResNet-8: channels removed, float32",
        {"float32": {}}
        | {f"{share:.0%} removed": {"prune_channels": share} for share in (0.25, 0.5)},
    ),
    "cluster": (
        "ResNet-8: few values per weight, float32",
        {"float32": {}}
        | {f"{count} values, not trained": {"cluster": count, "epochs": 0} for count in (4, 16)}
        | {f"{count} values, fine-tuned": {"cluster": count} for count in (4, 16)},
    ),
    "four": (
        "ResNet-8: weights of 4 bits, after training and trained for it",
        {
            "float32": {},
            "integers": {"recipe": "w4"},
            "integers, trained for them": {"recipe": "w4", "qat": True},
            "palettes": {"recipe": "w4-palette"},
            "palettes, fine-tuned": {"recipe": "w4-palette", "cluster": 16},
        },
    ),
    "hotdog": (
        "Not Hotdog: channels removed, float32",
        {"float32": {}}
        | {f"{share:.0%} removed": {"prune_channels": share} for share in (0.25, 0.5)},
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--train-samples", type=int, default=10_000)
    parser.add_argument("--only", default="", help="part of a variant's name")
    parser.add_argument(
        "--output", type=Path, help="the file whose section of that title is renewed"
    )
    options = parser.parse_args()
    title, variants = TABLES[options.table]
    chosen = {n: v for n, v in variants.items() if options.only in n or n == "float32"}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source, data, learning = subject(options.table, folder)
        learning["train_samples"] = options.train_samples
        reports = {}
        for name, settings in chosen.items():
            settings = data | settings
            if TRAINED & settings.keys():
                settings = learning | {"epochs": options.epochs} | settings
            reports[name] = mlc.build(source, folder / name, targets="tflite", **settings)
            print(row(name, reports[name], ""), flush=True)
        speeds = timed(reports)
    lines = [row(name, report, speeds.get(name, "—")) for name, report in reports.items()]
    report = reports["float32"]
    accuracy = report.rows[0].evidence.accuracy
    if accuracy:
        told = share(round(accuracy.original * accuracy.samples), accuracy.samples)
        lines.insert(0, f"| original | {told} | | | | | |")
    called = f"{options.table} --epochs {options.epochs} --train-samples {options.train_samples}"
    section = (
        f"## {title}\n\n`python bench/training.py {called}`: TFLite on this host, compared on "
        f"{report.data}.\n\n" + "\n".join([*HEAD, *lines]) + "\n"
    )
    print(section)
    if options.output:
        renew(options.output, title, section)


def timed(reports: dict[str, Report]) -> dict[str, str]:
    """How many times as fast as the float32 artifact each one is; the file is taken from its bundle."""
    network = reports["float32"].network
    feeds, _ = next(batches(synthesize(network, 1), network))
    with ExitStack() as stack:
        turns = {}
        for name, report in reports.items():
            file = next(Path(report.bundle).rglob("*.tflite"))
            runtime = stack.enter_context(closing(targets.target("tflite").open(file)))
            names = match(network.inputs, runtime.inputs, "input")
            turns[name] = (runtime, as_fed(feeds, names, runtime))
        first, inputs = turns.pop("float32")
        found = interleave(first, inputs, turns)
    return {
        name: f"{1 / one.ratio:.2f} ({1 / one.spread[1]:.2f}–{1 / one.spread[0]:.2f})"
        for name, one in found.items()
    }


def subject(table: str, folder: Path) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """A model, the flags of every build of it, and those of a build that trains."""
    if table == "hotdog":
        train, test = SHARED / "hotdog" / "train", SHARED / "hotdog" / "test"
        return HOTDOG, {"data": str(test), "samples": 1000}, {"train_data": str(train)}
    with np.load(SHARED / "cifar10_3000.npz") as stored:
        x, y = stored["images"], stored["labels"]
    np.savez(folder / "learned.npz", x=x[:1000], y=y[:1000])
    np.savez(folder / "compared.npz", x=x[1000:], y=y[1000:])
    learned, compared = str(folder / "learned.npz"), str(folder / "compared.npz")
    data = {"calibration": learned, "data": compared, "samples": 2000}
    return RESNET, data, {"train_data": learned}


def row(name: str, report: Report, speed: str) -> str:
    (found,) = report.rows
    evidence = found.evidence
    if evidence.accuracy is None or evidence.parity is None or found.size is None:
        return f"| {name} | {found.level}: {evidence.failure or evidence.reason} | | | | | |"
    accuracy, agreement = evidence.accuracy, evidence.parity.agreement or 0.0
    n = accuracy.samples
    kept = ", ".join(f"{t.kept} of {len(t.epochs) - 1}" for t in report.training)
    state = "" if found.level == "verified" else f" ({found.level})"
    return (
        f"| {name}{state} | {share(round(accuracy.artifact * n), n)} "
        f"| {share(round(agreement * n), n)} "
        f"| {found.size.raw / 1000:.1f} kB | {found.size.gzip / 1000:.1f} kB | {kept} | {speed} |"
    )


if __name__ == "__main__":
    main()
