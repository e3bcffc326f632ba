"""A cold float32 build of MobileNetV2 to four formats, proof included, against the vendors' commands.

    python bench/cold_build.py [--rounds 3]

A B A B: in every round first the four vendors' own command lines one after the other, as their manuals
give them, then one `mlc build --no-cache`. Prints each time, the medians and the ratio.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent

# What a vendor's command needs as a source: a SavedModel for three of them; for Core ML there is no
# command line, its manual gives this script.
COREML_SCRIPT = """
import coremltools as ct, keras, sys
model = keras.models.load_model(sys.argv[1], compile=False)
ct.convert(model, minimum_deployment_target=ct.target.iOS16).save(sys.argv[2])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keras_file, saved = make_sources(folder)
        vendors, ours = [], []
        for k in range(rounds):
            parts = {
                v: run(c, folder) for v, c in vendor_commands(keras_file, saved, folder).items()
            }
            vendors.append(sum(parts.values()))
            shutil.rmtree(folder / "dist", ignore_errors=True)
            ours.append(run([str(BIN / "mlc"), "build", str(keras_file), "--no-cache",
                             "-o", str(folder / "dist")], folder))  # fmt: skip
            detail = ", ".join(f"{v} {s:.1f}" for v, s in parts.items())
            print(
                f"round {k + 1}: vendors {vendors[-1]:.1f} s ({detail}); mlc {ours[-1]:.1f} s",
                flush=True,
            )
    ratios = [a / b for a, b in zip(ours, vendors, strict=True)]
    print(f"\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
          f"load {os.getloadavg()[0]:.1f}, n = {rounds} rounds")  # fmt: skip
    print(f"median vendors {statistics.median(vendors):.1f} s, mlc {statistics.median(ours):.1f} s, "
          f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})")  # fmt: skip


def make_sources(folder: Path) -> tuple[Path, Path]:
    """MobileNetV2 as a .keras file and as a SavedModel, made in a process of its own."""
    script = (
        "import keras, pathlib, sys; sys.path.insert(0, sys.argv[2]);"
        "from bench.zoo import application;"
        "made = application('MobileNetV2', pathlib.Path(sys.argv[1]));"
        "keras.models.load_model(made).export(made.with_suffix(''), verbose=False)"
    )
    command = [sys.executable, "-c", script, str(folder), str(Path(__file__).parents[1])]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "MobileNetV2.keras", folder / "MobileNetV2"


def vendor_commands(keras_file: Path, saved: Path, folder: Path) -> dict[str, list[str]]:
    python = sys.executable
    return {
        "TFLite": [str(BIN / "tflite_convert"), f"--saved_model_dir={saved}",
                   f"--output_file={folder / 'v.tflite'}"],
        "ONNX": [python, "-m", "tf2onnx.convert", "--saved-model", str(saved), "--output",
                 str(folder / "v.onnx"), "--opset", "17"],
        "TF.js": [str(BIN / "tensorflowjs_converter"), "--input_format=tf_saved_model",
                  str(saved), str(folder / "v_tfjs")],
        "Core ML": [python, "-c", COREML_SCRIPT, str(keras_file), str(folder / "v.mlpackage")],
    }  # fmt: skip


def run(command: list[str], folder: Path) -> float:
    """Wall seconds of a command, which must succeed."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
