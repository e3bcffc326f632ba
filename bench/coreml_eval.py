"""The Core ML evaluator against onnxruntime on mlc's own ONNX artifact of the same network: MobileNetV2.

    python bench/coreml_eval.py [--rounds 60] [--opens 5]

1. Open and first run, each in a new process, imports included: `mlc.open` of the package and `run`.
2. A run, in turn (A B C A B C ...): onnxruntime on the ONNX file, the evaluator on the float32 package
   and on the float16 package as declared. Ratios are taken within a round. All have two threads, and none
   spins while it waits: sessions that spin in turn take the cores from each other.

Prints medians, quartiles, versions and the machine. The weights are random, their BatchNorm calibrated.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from zoo import application

sys.path.insert(0, str(Path(__file__).parents[1]))
import mlc
from mlc.store import tools
from mlc.targets.coreml import evaluator

_OPEN = """
import sys, time
start = time.perf_counter()
import numpy as np, mlc
runtime = mlc.open(sys.argv[1])
runtime.run({runtime.inputs[0].name: np.load(sys.argv[2])})
print(time.perf_counter() - start)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--opens", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = application("MobileNetV2", folder)
        full, half = folder / "fp32", folder / "fp16"
        mlc.build(source, full, targets="coreml,onnx", recipe="fp32", input_range=(0, 255))
        mlc.build(source, half, targets="coreml", recipe="fp16", input_range=(0, 255))
        packages = {f.name: f / "MobileNetV2.mlpackage" for f in (full, half)}
        picture = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
        np.save(folder / "picture.npy", picture)
        print(
            f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
            f"load {os.getloadavg()[0]:.1f}, "
            + ", ".join(f"{k} {v}" for k, v in tools().items() if k in ("onnxruntime", "numpy"))
        )
        for recipe, path in packages.items():
            times = [opened(path, folder / "picture.npy") for _ in range(options.opens)]
            tell(f"{recipe} package, open and first run", times, 1, "s")
        compare(packages, full / "MobileNetV2.onnx", picture, options.rounds)


def opened(package: Path, picture: Path) -> float:
    """Seconds from the start of the imports, in a process of its own."""
    command = [sys.executable, "-c", _OPEN, str(package), str(picture)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(done.stdout)


def compare(packages: dict[str, Path], onnx_file: Path, picture: Any, rounds: int) -> None:
    turns = {"onnxruntime, float32 ONNX": onnxruntime(onnx_file, picture)}
    for recipe, path in packages.items():
        turns[f"evaluator, {recipe} package"] = evaluated(path, picture)
    for turn in turns.values():
        turn()
    times = np.array([[timed(turn) for turn in turns.values()] for _ in range(rounds)])
    for column, name in enumerate(turns):
        tell(name, list(times[:, column]), 1000, "ms")
        if column:
            tell("  ratio to onnxruntime", list(times[:, column] / times[:, 0]), 1, "")


def onnxruntime(file: Path, picture: Any) -> Callable[[], Any]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda: session.run(None, {given.name: picture})


def evaluated(package: Path, picture: Any) -> Callable[[], Any]:
    runtime = evaluator.open(package)
    (given,) = runtime.inputs
    return lambda: runtime.run({given.name: picture})


def timed(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def tell(what: str, values: list[float], factor: float, unit: str) -> None:
    low, _, high = statistics.quantiles(values, n=4)
    print(
        f"{what:36} median {factor * statistics.median(values):.2f} {unit} "
        f"(quartiles {factor * low:.2f}–{factor * high:.2f}, n = {len(values)})"
    )


if __name__ == "__main__":
    main()
