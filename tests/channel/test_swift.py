"""The Swift package of updates: its own tests, and its form."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.channel.drivers import HERE
from tests.swift import check_types, emit_stubs, swift
from tests.toolchains import ROOT

pytestmark = pytest.mark.apps

PACKAGE = ROOT / "ios_sample" / "Updates"


def test_its_own_tests_pass(tmp_path: Path) -> None:
    places = ["--package-path", PACKAGE, "--scratch-path", tmp_path]
    printed = swift("swift", "test", *places, "-Xswiftc", "-warnings-as-errors")
    assert "4 tests passed" in printed or "with 4 tests" in printed


@pytest.mark.parametrize("typo", [None, ("compileModel(at: package)", "compileModle(at: package)")])
def test_what_only_apple_has_fits_its_documentation(
    typo: tuple[str, str] | None, tmp_path: Path
) -> None:
    """Core ML and CryptoKit are not here: the code for them is checked against stubs, not run."""
    emit_stubs(tmp_path, ["CoreML", "CryptoKit"])
    sources = []
    for source in (PACKAGE / "Sources" / "Updates").glob("*.swift"):
        text = source.read_text()
        (tmp_path / source.name).write_text(text.replace(*typo) if typo else text)
        sources.append(tmp_path / source.name)
    if typo is None:
        check_types(sources, tmp_path)
    else:
        with pytest.raises(pytest.fail.Exception, match="no member 'compileModle'"):
            check_types(sources, tmp_path)


def test_it_is_formatted() -> None:
    lint = ["swift-format", "lint", "--strict", "--recursive", PACKAGE, HERE / "swift"]
    assert swift(*lint) == ""
