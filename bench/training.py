"""Training-time compression in numbers, one table per command.

    python bench/training.py TABLE [--epochs N] [--only VARIANT] [--output docs/results.md]

ResNet-8 of MLPerf Tiny learns from the first 1,000 pictures of ../shared/data/cifar10_3000.npz and is
compared on the last 2,000; Not Hotdog learns from the train folder and is compared on the test folder.
Every row is a `mlc build` of its own: what is measured is the artifact.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import mlc
from mlc.report.report import Report

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
RESNET = SHARED / "models" / "mlperf_tiny" / "pretrainedResnet.h5"
HOTDOG = ROOT / "examples" / "not_hotdog" / "not_hotdog.h5"
HEAD = (
    "| variant | accuracy (95 % interval) | agreement | size | gzip | latency / original | kept epoch |",
    "|---|---|---|---|---|---|---|",
)

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
        {
            f"pruned to {share}": {"prune": share} for share in (0.5, 0.75, 0.875, "2:4")
        },
    ),
    "channels": (
        "ResNet-8: channels removed, float32",
        {"float32": {}}
        | {f"{share:.0%} removed": {"prune_channels": share} for share in (0.25, 0.5)},
    ),
    "cluster": (
        "ResNet-8: few values per weight, float32",
        {
            f"{count} values, {'fine-tuned' if epochs is None else 'not trained'}": {
                "cluster": count, "epochs": epochs,
            }
            for count in (4, 16)
            for epochs in (0, None)
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
    parser.add_argument("--only", default="", help="part of a variant's name")
    parser.add_argument(
        "--output", type=Path, help="the file whose section of that title is renewed"
    )
    options = parser.parse_args()
    title, variants = TABLES[options.table]
    with tempfile.TemporaryDirectory() as folder:
        source, data = subject(options.table, Path(folder))
        lines: list[str] = []
        for name, settings in variants.items():
            if options.only not in name:
                continue
            if settings.get("epochs", 0) is None or "epochs" not in settings:
                settings = {**settings, "epochs": options.epochs}
            report = mlc.build(source, Path(folder) / "out", targets="tflite", **data, **settings)
            for line in rows(name, report, first=not lines):
                lines.append(line)
                print(line, flush=True)
    head = (
        f"## {title}\n\n`python bench/training.py {options.table}`: TFLite here, {options.epochs} "
        f"epochs unless the row says otherwise, compared on {report.data}.\n\n"
    )
    if options.output:
        renew(options.output, title, head + "\n".join([*HEAD, *lines]) + "\n")


def subject(table: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    if table == "hotdog":
        train, test = SHARED / "hotdog" / "train", SHARED / "hotdog" / "test"
        return HOTDOG, {"train_data": str(train), "data": str(test), "samples": 1000}
    with np.load(SHARED / "cifar10_3000.npz") as stored:
        x, y = stored["images"], stored["labels"]
    np.savez(folder / "learned.npz", x=x[:1000], y=y[:1000])
    np.savez(folder / "compared.npz", x=x[1000:], y=y[1000:])
    learned, compared = str(folder / "learned.npz"), str(folder / "compared.npz")
    return RESNET, {
        "train_data": learned, "calibration": learned, "data": compared, "samples": 2000,
    }  # fmt: skip


def rows(name: str, report: Report, first: bool) -> list[str]:
    (row,) = report.rows
    evidence = row.evidence
    if evidence.accuracy is None or evidence.parity is None or row.size is None:
        return [f"| {name} | {row.level}: {evidence.failure or evidence.reason} | | | | | |"]
    lines, accuracy = [], evidence.accuracy
    if first:
        lines.append(
            f"| original | {share(accuracy.original, accuracy.original_interval)} | | | | 1 | |"
        )
    agreement = evidence.parity.agreement
    kept = ", ".join(f"{t.kept} of {len(t.epochs) - 1}" for t in report.training)
    latency = f"{evidence.latency.ratio:.2f}" if evidence.latency else "—"
    state = "" if row.level == "verified" else f" ({row.level})"
    lines.append(
        f"| {name}{state} | {share(accuracy.artifact, accuracy.artifact_interval)} | {agreement:.2%} "
        f"| {row.size.raw / 1000:.1f} kB | {row.size.gzip / 1000:.1f} kB | {latency} | {kept} |"
    )
    return lines


def share(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.2%} ({interval[0]:.1%}–{interval[1]:.1%})"


def renew(file: Path, title: str, section: str) -> None:
    """Put the section in the place of that of the same title, or at the end."""
    text = file.read_text(encoding="utf-8") if file.exists() else "# Results\n"
    start = text.find(f"## {title}\n")
    if start < 0:
        file.write_text(f"{text.rstrip()}\n\n{section}", encoding="utf-8")
        return
    end = text.find("\n## ", start + 1)
    rest = "" if end < 0 else text[end:]
    file.write_text(text[:start] + section + rest, encoding="utf-8")


if __name__ == "__main__":
    main()
