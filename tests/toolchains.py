"""What toolchains/*.sh and other tools print, or a skip where there is no such toolchain."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

__all__ = ["ROOT", "TOOLCHAINS", "run"]

ROOT = Path(__file__).parents[1]
TOOLCHAINS = ROOT / "toolchains"
_UNAVAILABLE = 77  # what toolchains/*.sh exit with where there is no such toolchain


def run(*command: str | Path, cwd: Path = ROOT, stderr: bool = False) -> str:
    """What a tool prints, warnings too on demand; its failure is that of the test."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode == _UNAVAILABLE:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    if done.returncode:
        pytest.fail(done.stdout + done.stderr)
    return done.stdout + done.stderr if stderr else done.stdout
