"""The iOS sample, as far as it can be checked without Xcode: docs of what that is are in its README."""

from __future__ import annotations

import json
import os
import plistlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.bindings import exam
from tests.command import mlc
from tests.swift import check_types, emit_module, emit_stubs, swift
from tests.toolchains import ROOT

SAMPLE = ROOT / "ios_sample"
EXAMPLES = ROOT / "examples"
HERE = Path(__file__).parent


def take(bundle: Path, folder: Path) -> Path:
    """A copy of the sample that has taken `bundle`, by the script that a developer runs."""
    app = folder / "ios_sample"
    shutil.copytree(SAMPLE, app, ignore=shutil.ignore_patterns("Model", ".build", "taking-*"))
    environment = {**os.environ, "MLC": f"{sys.executable} -m mlc", "PYTHONPATH": str(ROOT)}
    command = [str(app / "take.sh"), str(bundle)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return app


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with a bundle of three odd labels, whose logits come from a cropped colour picture."""
    folder = tmp_path_factory.mktemp("classifier")
    return take(exam.bundle(folder), folder)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with a bundle that `mlc build` made: ten digits, gray, probabilities."""
    folder = tmp_path_factory.mktemp("digits")
    source, data = EXAMPLES / "digits" / "digits.keras", EXAMPLES / "digits" / "data.py:test_set"
    built = mlc("build", source, "--data", data, "--targets", "coreml", "-o", folder / "dist")
    assert built.code == 0, built.err
    return take(folder / "dist", folder)


# --- without a toolchain ---


def plist(path: str) -> dict[str, Any]:
    return dict(plistlib.loads((SAMPLE / path).read_bytes()))


def test_whatever_asks_for_permission_says_why() -> None:
    info = plist("NotHotdog-Info.plist")
    for use in ("NSCameraUsageDescription", "NSPhotoLibraryAddUsageDescription"):
        assert len(info[use]) > 20


def test_the_privacy_manifest_names_what_the_code_uses() -> None:
    code = "".join(file.read_text() for file in SAMPLE.rglob("*.swift"))
    categories = {
        "NSPrivacyAccessedAPICategoryUserDefaults": r"UserDefaults|AppStorage",
        "NSPrivacyAccessedAPICategoryFileTimestamp": r"modificationDate|creationDate|\bstat\(",
        "NSPrivacyAccessedAPICategorySystemBootTime": r"systemUptime|mach_absolute_time",
        "NSPrivacyAccessedAPICategoryDiskSpace": r"volumeAvailable|systemFreeSize",
        "NSPrivacyAccessedAPICategoryActiveKeyboards": r"activeInputModes",
    }
    used = {category for category, names in categories.items() if re.search(names, code)}
    manifest = plist("NotHotdog/PrivacyInfo.xcprivacy")
    named = {row["NSPrivacyAccessedAPIType"] for row in manifest["NSPrivacyAccessedAPITypes"]}
    assert used == named
    assert not manifest["NSPrivacyTracking"]


def test_every_stub_cites_a_page_of_apples() -> None:
    kinds = "class|struct|enum|protocol|func|let|var|typealias"
    # Types that SwiftUI does not name, and what tests put inside a package.
    own = {"Modified", "_ConditionalContent", "StandIn"}
    for stub in (ROOT / "tests" / "apple").glob("*.swift"):
        above = ""
        for line in stub.read_text().splitlines():
            if line.startswith(("///", "@")) and not line.startswith("@_exported"):
                above += line
                continue
            if declared := re.match(rf"public (?:\w+ )*?(?:{kinds}) (\w+)", line):
                cites = "https://developer.apple.com/documentation/" in above
                assert cites or declared[1] in own, f"{stub.name}: {declared[1]}"
            above = ""


def test_the_workflow_names_what_there_is() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ios.yml").read_text()
    paths = set(re.findall(r"\b(?:ios_sample|examples)/[\w/.]+", workflow)) - {"ios_sample/Model"}
    paths = {path.rstrip("/.") for path in paths}
    assert len(paths) >= 5
    for path in paths:
        assert (ROOT / path).exists(), path
    assert "-project NotHotdog.xcodeproj -scheme NotHotdog" in workflow
    # What one job hands over is where the project of the other looks for it.
    assert re.findall(r"^ +path: (.*)$", workflow, re.M) == ["ios_sample/Model"] * 2


def test_a_bundle_without_golden_cases_is_refused_and_the_old_model_stays(
    classifier: Path, tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    before = sorted(classifier.rglob("*"))
    command = [str(classifier / "take.sh"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no golden cases" in done.stderr
    assert sorted(classifier.rglob("*")) == before


# --- with Swift ---


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Apple's frameworks as stubs, and the packages of the sample: strictly checked, ready to import."""
    folder = tmp_path_factory.mktemp("modules")
    emit_stubs(folder)
    for package in ("Updates", "HotdogKit"):
        emit_module(package, (SAMPLE / package / "Sources").rglob("*.swift"), folder)
    return folder


@pytest.fixture(scope="module")
def bindings(classifier: Path, modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of the classifier, as a module in this folder."""
    folder = tmp_path_factory.mktemp("bindings")
    emit_module("MLCBindings", taken(classifier), folder, modules)
    return folder


def taken(app: Path) -> Iterator[Path]:
    """The sources that `take.sh` generated."""
    return (app / "Model" / "MLCBindings" / "Sources").rglob("*.swift")


@pytest.mark.apps
def test_the_app_is_strictly_checked(classifier: Path, modules: Path, bindings: Path) -> None:
    check_types((classifier / "NotHotdog").rglob("*.swift"), modules, bindings)


@pytest.mark.apps
def test_another_bundle_fits_without_a_change_of_code(
    digits: Path, modules: Path, tmp_path: Path
) -> None:
    for source in (digits / "NotHotdog").rglob("*.swift"):
        assert source.read_bytes() == (SAMPLE / source.relative_to(digits)).read_bytes()
    emit_module("MLCBindings", taken(digits), tmp_path, modules)
    check_types((digits / "NotHotdog").rglob("*.swift"), modules, tmp_path)


def with_mistake(sources: Path, file: str, right: str, wrong: str, folder: Path) -> Path:
    """A copy of `sources` with one thing wrong in it."""
    copy = folder / "sources"
    shutil.copytree(sources, copy)
    (source,) = copy.rglob(file)
    assert right in source.read_text()
    source.write_text(source.read_text().replace(right, wrong))
    return copy


@pytest.mark.apps
@pytest.mark.parametrize(
    ("file", "right", "wrong", "complaint"),
    [
        ("Camera.swift", "didOutput sample", "didOutputs sample", "different argument labels"),
        ("Recognizer.swift", "actor Recognizer", "final class Recognizer", "Sendable"),
    ],
)
def test_a_mistake_in_the_app_is_found(
    file: str, right: str, wrong: str, complaint: str, modules: Path, bindings: Path, tmp_path: Path
) -> None:
    copy = with_mistake(SAMPLE / "NotHotdog", file, right, wrong, tmp_path)
    with pytest.raises(pytest.fail.Exception, match=complaint):
        check_types(copy.rglob("*.swift"), modules, bindings)


@pytest.mark.apps
def test_a_mistake_in_the_bindings_is_found(
    classifier: Path, modules: Path, tmp_path: Path
) -> None:
    sources = classifier / "Model" / "MLCBindings"
    copy = with_mistake(sources, "VisionRuntime.swift", ".scaleFill", ".scaleFil", tmp_path)
    with pytest.raises(pytest.fail.Exception, match="no member 'scaleFil'"):
        emit_module("MLCBindings", copy.rglob("Sources/**/*.swift"), tmp_path, modules)


@pytest.mark.apps
def test_the_pure_package_passes_its_own_tests(tmp_path: Path) -> None:
    package = SAMPLE / "HotdogKit"
    written = sum(file.read_text().count("@Test") for file in package.rglob("Tests/**/*.swift"))
    places = ["--package-path", package, "--scratch-path", tmp_path]
    printed = swift("swift", "test", *places, "-Xswiftc", "-warnings-as-errors")
    assert f"Test run with {written} tests passed" in printed


@pytest.mark.apps
def test_it_is_formatted(classifier: Path) -> None:
    assert swift("swift-format", "lint", "--strict", "--recursive", ".", cwd=classifier) == ""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The project file, read by the parser of Apple's Foundation."""
    reader = tmp_path_factory.mktemp("reader") / "reader"
    swift("swiftc", "-swift-version", "6", "-o", reader, HERE / "property_list.swift")
    return dict(json.loads(swift(reader, SAMPLE / "NotHotdog.xcodeproj" / "project.pbxproj")))


def of_kind(project: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {key: row for key, row in project["objects"].items() if row["isa"] == kind}


@pytest.mark.apps
def test_the_project_refers_to_what_there_is(project: dict[str, Any], classifier: Path) -> None:
    objects = project["objects"]
    seen = set()

    def walk(key: str, folder: Path) -> None:
        row = objects[key]
        seen.add(key)
        path = folder / row.get("path", "")
        if row["sourceTree"] != "BUILT_PRODUCTS_DIR":
            assert path.exists(), path
        for child in row.get("children", []):
            walk(child, path)

    walk(objects[project["rootObject"]]["mainGroup"], classifier)
    files = of_kind(project, "PBXFileReference") | of_kind(project, "PBXGroup")
    assert set(files) <= seen
    for package in of_kind(project, "XCLocalSwiftPackageReference").values():
        assert (classifier / package["relativePath"] / "Package.swift").is_file()
    for product in of_kind(project, "XCSwiftPackageProductDependency").values():
        folder = classifier / objects[product["package"]]["relativePath"]
        assert (
            f'.library(name: "{product["productName"]}"' in (folder / "Package.swift").read_text()
        )
    for settings in of_kind(project, "XCBuildConfiguration").values():
        if info := settings["buildSettings"].get("INFOPLIST_FILE"):
            assert (classifier / info).is_file()


@pytest.mark.apps
def test_everything_in_the_project_is_used_and_there(project: dict[str, Any]) -> None:
    """No reference leads nowhere, and no object is left that nothing refers to."""
    objects = project["objects"]
    text = json.dumps(objects)
    keys = set(re.findall(r"C0DE[0-9A-F]{20}", text))
    assert keys == set(objects)
    for key in objects:
        assert text.count(key) > 1 or key == project["rootObject"], key


@pytest.mark.apps
def test_the_scheme_builds_the_target(project: dict[str, Any]) -> None:
    scheme = SAMPLE / "NotHotdog.xcodeproj" / "xcshareddata" / "xcschemes" / "NotHotdog.xcscheme"
    references = ElementTree.parse(scheme).iter("BuildableReference")
    assert {r.attrib["BlueprintIdentifier"] for r in references} == set(
        of_kind(project, "PBXNativeTarget")
    )


@pytest.mark.apps
def test_xcode_builds_it(classifier: Path, tmp_path: Path) -> None:
    """As the workflow does on GitHub."""
    if not shutil.which("xcodebuild"):
        pytest.skip("no xcodebuild: the iOS app is type-checked here, not built")
    command = ["xcodebuild", "build", "-project", "NotHotdog.xcodeproj", "-scheme", "NotHotdog"]
    command += ["-destination", "generic/platform=iOS Simulator", "CODE_SIGNING_ALLOWED=NO"]
    command += ["-derivedDataPath", str(tmp_path)]
    done = subprocess.run(command, cwd=classifier, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
