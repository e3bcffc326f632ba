"""npm packages for tests, installed once into the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from mlc.store import cache_folder
from mlc.targets.tfjs.node import find_node

__all__ = ["node", "packages"]


def node() -> str:
    """The Node that mlc itself would take."""
    return find_node().node


def packages(project: Path) -> Path:
    """The `node_modules` of a folder with package.json and package-lock.json; whole, or not there."""
    lock = (project / "package-lock.json").read_bytes()
    installed = cache_folder() / "npm" / hashlib.sha256(lock).hexdigest()[:16]
    if not installed.is_dir():
        installed.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=installed.parent, prefix="installing-") as aside:
            whole = Path(aside) / "whole"
            whole.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(project / name, whole / name)
            path = os.pathsep.join([str(Path(node()).parent), os.environ.get("PATH", "")])
            command = [*find_node().npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(command, cwd=whole, env={**os.environ, "PATH": path}, check=True)
            whole.rename(installed)
    return installed / "node_modules"
