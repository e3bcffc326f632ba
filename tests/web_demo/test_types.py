"""The TypeScript of the page, and the bindings in it, under the compiler's strictest rules."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mlc.node import find_node, packages

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "web_demo"


@pytest.mark.parametrize("project", [".", "service_worker"])
def test_types(project: str, tmp_path: Path) -> None:
    node = find_node()
    compiler = packages(node, ROOT / "tests" / "bindings" / "typescript") / "node_modules"
    sources = tmp_path / "web_demo"
    shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (sources / "node_modules").symlink_to(packages(node, SOURCES) / "node_modules")
    bindings = tmp_path / "mlc" / "bindings" / "typescript"
    shutil.copytree(ROOT / "mlc" / "bindings" / "typescript", bindings)
    tsc = compiler / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        [node.node, str(tsc), "--project", project], cwd=sources, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_lock_file_names_no_registry() -> None:
    lock = (SOURCES / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert "https://registry" not in lock
