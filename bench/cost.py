"""What a quantized build costs: its time against the float build, and the peak of memory.

    python bench/cost.py time [--rounds 3] [--output docs/results.md]   # MobileNetV2, 200 pictures
    python bench/cost.py memory [--output docs/results.md]              # ResNet50, 25.6 M parameters

A B A B: in every round first `mlc build --no-cache`, then the same with --int8, both proven on the same
200 made-up pictures. Memory is the sum over all processes of a build of what each has for itself (PSS,
where shared pages count by the part), sampled five times a second.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.results import renew
from mlc.store import tools

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PICTURES = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["time", "memory"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--output", type=Path, help="the file whose section of that title is renewed"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.what == "time":
            title, lines = "Cost: time", time_table(Path(name), options.rounds)
        else:
            title, lines = "Cost: memory", memory_table(Path(name))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    versions = ", ".join(f"{name} {version}" for name, version in tools().items())
    section = "\n".join([f"## {title}", "", *lines, "", f"{machine}; {versions}.", ""])
    print(section)
    if options.output:
        renew(options.output, title, section)


def time_table(folder: Path, rounds: int) -> list[str]:
    """Seconds of float32 and int8 builds, round by round, and the median of their ratios."""
    source, data = make_source("MobileNetV2", folder), make_pictures(folder, PICTURES)
    rows, ratios = [], []
    for k in range(rounds):
        plain, _ = build(source, data, folder)
        integers, _ = build(source, data, folder, "--int8")
        ratios.append(integers / plain)
        rows.append(f"| {k + 1} | {plain:.1f} s | {integers:.1f} s | {ratios[-1]:.2f} |")
        print(rows[-1], flush=True)
    return [
        "`python bench/cost.py time`: `mlc build --no-cache` of MobileNetV2 to four formats, and the "
        f"same with `--int8`, in turn; both are proven on {PICTURES} pictures, which also calibrate. "
        "Wanted: at most 3 times.",
        "",
        "| round | float32 | int8 | ratio |",
        "|---|---|---|---|",
        *rows,
        f"| median of {rounds} | | | **{statistics.median(ratios):.2f}** |",
    ]


def memory_table(folder: Path) -> list[str]:
    """The peak of a float32 and of an int8 build."""
    source, data = make_source("ResNet50", folder), make_pictures(folder, 16)
    rows = []
    for flags in ((), ("--int8",)):
        seconds, peak = build(source, data, folder, *flags)
        called = " ".join(flags) or "float32"
        rows.append(f"| {called} | {peak / 1e9:.2f} GB | {seconds:.0f} s |")
        print(rows[-1], flush=True)
    return [
        "`python bench/cost.py memory`: `mlc build --no-cache` of ResNet50, 25.6 M parameters, to four "
        "formats. The peak of what all processes of a build have for themselves (PSS), sampled five "
        "times a second. Wanted: at most 4 GB.",
        "",
        "| build | peak | time |",
        "|---|---|---|",
        *rows,
    ]


def make_source(kind: str, folder: Path) -> Path:
    """An application of Keras with random weights that answers, in a process of its own."""
    script = (
        "import pathlib, sys; sys.path.insert(0, sys.argv[3]); from bench.zoo import application;"
        "application(sys.argv[1], pathlib.Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", script, kind, str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return folder / f"{kind}.keras"


def make_pictures(folder: Path, count: int) -> Path:
    """Patches of colour (count, 224, 224, 3), 0..255."""
    rng = np.random.default_rng(1)
    patches = rng.uniform(0, 255, (count, 14, 14, 3)).astype(np.float32)
    np.savez(folder / "pictures.npz", x=patches.repeat(16, axis=1).repeat(16, axis=2))
    return folder / "pictures.npz"


def build(source: Path, data: Path, folder: Path, *flags: str) -> tuple[float, int]:
    """Wall seconds and peak bytes of a build, which must write all four artifacts."""
    command = [
        BIN / "mlc",
        "build",
        source,
        "--no-cache",
        "--data",
        data,
        "-o",
        folder / "dist",
        *flags,
    ]
    start, peak = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        tree = psutil.Process(running.pid)
        while running.poll() is None:
            peak = max(peak, memory(tree))
            time.sleep(0.2)
        told = running.stdout.read().decode() if running.stdout else ""
    if running.returncode:
        raise SystemExit(f"the build failed:\n{told[-2000:]}")
    return time.perf_counter() - start, peak


def memory(root: psutil.Process) -> int:
    """PSS of a process and all below it, bytes."""
    total = 0
    try:
        for process in [root, *root.children(recursive=True)]:
            total += process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # it has just ended
        pass
    return total


if __name__ == "__main__":
    main()
