"""The command line, in this process or one of its own."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from tests import networks


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


def mlc(*arguments: object) -> Done:
    """Run `mlc` with these arguments, here: workers are processes all the same."""
    from mlc.cli import main

    out, err = io.StringIO(), io.StringIO()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        given = patch.object(sys, "argv", ["mlc", *map(str, arguments)])
        with given, redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as leaving:
        return Done(int(leaving.code or 0), out.getvalue(), err.getvalue())
    finally:
        signal.signal(signal.SIGTERM, handler)
    raise AssertionError("main always exits")


def python(code: str, cwd: Path, **environment: str) -> Done:
    """Run Python code as a script in `cwd`."""
    script = cwd / "script.py"
    script.write_text(code)
    root = str(Path(__file__).parents[1])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Built:
    """One build that many tests look at."""

    source: Path
    data: Path
    dist: Path
    done: Done

    @property
    def arguments(self) -> list[str]:
        """What was built, from what."""
        return [str(self.source), "-t", "tflite,onnx", "--data", str(self.data)]

    def again(self, *more: object, output: Path | None = None) -> Done:
        """The same build with other limits, or elsewhere."""
        return mlc("build", *self.arguments, "-o", output or self.dist, *more)


def build(folder: Path) -> Built:
    """The network `cnn` with labelled data, for TFLite and ONNX."""
    source = networks.save("cnn", folder / "cnn.keras")
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (12, 24, 24, 3)) * rng.uniform(0, 1, (12, 1, 1, 3))
    np.savez(folder / "data.npz", x=images.astype(np.float32), y=np.arange(12) % 5)
    built = Built(source, folder / "data.npz", folder / "dist", Done(-1, "", ""))
    done = built.again()
    assert done.code == 0, done
    return replace(built, done=done)
