"""The Swift package of updates: its own tests, and its form."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.channel.drivers import HERE, ROOT, run

pytestmark = pytest.mark.apps

TOOLCHAIN = str(ROOT / "toolchains" / "swift.sh")
PACKAGE = str(ROOT / "ios_sample" / "Updates")


def test_its_own_tests_pass(tmp_path: Path) -> None:
    places = ["--package-path", PACKAGE, "--scratch-path", str(tmp_path)]
    printed = run([TOOLCHAIN, "swift", "test", *places, "-Xswiftc", "-warnings-as-errors"])
    assert "4 tests passed" in printed or "with 4 tests" in printed


@pytest.mark.parametrize("typo", [None, ("compileModel(at: package)", "compileModle(at: package)")])
def test_what_only_apple_has_fits_its_documentation(
    typo: tuple[str, str] | None, tmp_path: Path
) -> None:
    """Core ML and CryptoKit are not here: the code for them is checked against stubs, not run."""
    swiftc = [TOOLCHAIN, "swiftc", "-swift-version", "6"]
    for stub in (HERE / "swift" / "Stubs").glob("*.swift"):
        module = ["-module-name", stub.stem, "-o", str(tmp_path / f"{stub.stem}.swiftmodule")]
        run([*swiftc, "-emit-module", "-parse-as-library", *module, str(stub)])
    sources = []
    for source in (Path(PACKAGE) / "Sources" / "Updates").glob("*.swift"):
        text = source.read_text()
        (tmp_path / source.name).write_text(text.replace(*typo) if typo else text)
        sources.append(str(tmp_path / source.name))
    check = [*swiftc, "-typecheck", "-warnings-as-errors", "-I", str(tmp_path), *sources]
    if typo is None:
        assert run(check) == ""
    else:
        with pytest.raises(pytest.fail.Exception, match="no member 'compileModle'"):
            run(check)


def test_it_is_formatted() -> None:
    lint = ["swift-format", "lint", "--strict", "--recursive", PACKAGE, str(HERE / "swift")]
    assert run([TOOLCHAIN, *lint]) == ""
