"""Swift for tests: its toolchain or a skip, and types checked against stubs of Apple's frameworks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import Path

from tests.toolchains import ROOT, TOOLCHAINS, run

__all__ = ["build", "check_types", "emit_module", "emit_stubs", "swift"]

# What the code here uses of Apple's frameworks, each declaration with the page that documents it.
STUBS = Path(__file__).parent / "apple"
_STRICT = (
    "-swift-version", "6", "-strict-concurrency=complete", "-warnings-as-errors", "-parse-as-library",
)  # fmt: skip


def swift(*arguments: str | Path, cwd: Path = ROOT) -> str:
    """What a command of the toolchain prints, its warnings too."""
    return run(TOOLCHAINS / "swift.sh", *arguments, cwd=cwd, stderr=True)


def check_types(sources: Iterable[Path], *modules: Path) -> None:
    """Swift 6 with complete concurrency checking; a warning is an error."""
    folders = [option for folder in modules for option in ("-I", folder)]
    assert swift("swiftc", "-typecheck", *_STRICT, *folders, *sorted(sources)) == ""


def emit_module(name: str, sources: Iterable[Path], folder: Path, *modules: Path) -> None:
    """Check sources likewise, and write what others need in order to import them into `folder`."""
    found = [option for other in (folder, *modules) for option in ("-I", other)]
    module = ("-module-name", name, "-o", folder / f"{name}.swiftmodule")
    swift("swiftc", "-emit-module", *_STRICT, *found, *module, *sorted(sources))


def emit_stubs(folder: Path, names: Iterable[str] | None = None) -> None:
    """The stubs of these frameworks, or of all, as modules in `folder`."""
    for name, stub in _stubs(names):
        emit_module(name, [stub], folder)


def build(main: Path, package: Path, names: Iterable[str], folder: Path) -> Path:
    """A program of `main.swift` and MLCBindings, with the stubs of these frameworks in their place."""
    modules = {name: [stub] for name, stub in _stubs(names)}
    modules["MLCBindings"] = sorted((package / "Sources").rglob("*.swift"))
    for name, sources in modules.items():
        result = ("-emit-module-path", folder / f"{name}.swiftmodule", "-o", folder / f"{name}.o")
        options = ("-wmo", "-c", "-emit-module", "-module-name", name, "-I", folder)
        swift("swiftc", *options, *_STRICT, *result, *sources)
    objects = [folder / f"{name}.o" for name in modules]
    program = folder / main.parent.name
    swift("swiftc", "-swift-version", "6", "-I", folder, main, *objects, "-o", program)
    return program


def _stubs(names: Iterable[str] | None) -> list[tuple[str, Path]]:
    """With those that they need, which come first."""
    stubs = {stub.stem: stub for stub in STUBS.glob("*.swift")}
    imports = {
        name: set(re.findall(r"^(?:@_exported )?import (\w+)", stub.read_text(), re.M)) & set(stubs)
        for name, stub in stubs.items()
    }
    needed = set(stubs if names is None else names)
    while more := set().union(*(imports[name] for name in needed)) - needed:
        needed |= more
    return [(n, stubs[n]) for n in TopologicalSorter(imports).static_order() if n in needed]
