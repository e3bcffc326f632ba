"""`make demo`: build both example networks with int8 and show what came of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.panel import Panel

EXAMPLES = Path(__file__).parent
OUTPUT = EXAMPLES.parent / "demo"
BIN = Path(os.path.relpath(sys.executable)).parent

STEPS = (
    (
        "Not Hotdog: a photo classifier, 2.3 M parameters, compiled for four runtimes with 8-bit "
        "integers.\nCalibrated and compared on real photographs that scikit-learn carries. There are no "
        "hot dogs in them,\nso this shows agreement with the original, not accuracy.",
        ["not_hotdog/not_hotdog.h5", "--data", "not_hotdog/photos.py:photos"],
        "not_hotdog",
    ),
    (
        "Digits: a small network on scikit-learn's handwritten digits. These have labels, so the table\n"
        "also shows the accuracy of every artifact.",
        ["digits/digits.keras", "--data", "digits/data.py:test_set"],
        "digits",
    ),
)


def main() -> int:
    """Run the builds as a user would; returns the worst exit code."""
    console = Console()
    codes = []
    for text, (source, flag, data), name in STEPS:
        console.print(Panel(text, border_style="dim"))
        command = [
            "build", str(EXAMPLES / source), flag, str(EXAMPLES / data),
            "--targets", "all", "--int8", "-o", str(OUTPUT / name),
        ]  # fmt: skip
        console.print(f"$ mlc {' '.join(command)}", style="bold", soft_wrap=True, highlight=False)
        codes.append(subprocess.run([sys.executable, "-m", "mlc", *command]).returncode)
    console.print(
        Panel(
            "How to read the tables\n"
            "  ×src     size of the artifact against the source file\n"
            "  agree    share of the samples with the same answer as the original\n"
            "  top-1    share of the labelled samples that are answered right\n"
            "  max err  largest difference of any output value from the original's\n"
            "  SQNR     how far the error is below the signal, in dB: 20 and more is usual for int8\n"
            "  latency  time of a run on this computer against the original; a phone differs\n"
            "  state    verified: the file was loaded from disk, run, and compared\n"
            "\n"
            f"In your browser, on every runtime that it has:  {BIN / 'mlc'} demo demo/not_hotdog --serve",
            border_style="dim",
        )
    )
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
