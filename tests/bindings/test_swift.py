"""The Swift bindings, as a package: built, run, and formatted as Swift's own formatter wants."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mlc.bindings.generate import LANGUAGES, generate
from mlc.bundle.manifest import read_manifest
from tests.bindings import exam
from tests.swift import build, swift

pytestmark = pytest.mark.apps

HERE = Path(__file__).parent / "swift"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exam, and the package for it beside."""
    folder = tmp_path_factory.mktemp("swift")
    dist = exam.bundle(folder)
    exam.write(folder, dist)
    generate(read_manifest(dist), LANGUAGES["swift"], folder)
    return folder


@pytest.fixture(scope="module")
def sat(generated: Path) -> Path:
    """The folder of the exam after it was sat."""
    package = generated / "exam"
    shutil.copytree(HERE, package)
    built = swift("swift", "build", "-c", "release", "-Xswiftc", "-warnings-as-errors", cwd=package)
    assert "Compiling" in built or "Build complete" in built
    swift(str(package / ".build" / "release" / "Exam"), str(generated), cwd=package)
    return generated


def test_pixels_are_pythons_to_the_last_bit(sat: Path) -> None:
    assert exam.mark_pixels(sat) == 0


def test_scores_and_golden_cases_are_judged_right(sat: Path) -> None:
    exam.mark_answers(sat)


def test_camera_frames_are_converted(sat: Path) -> None:
    exam.mark_yuv(sat)


def test_golden_cases_pass_through_core_ml_and_vision_as_stand_ins_have_them(
    generated: Path, tmp_path: Path
) -> None:
    """The glue is run: pictures into pixel buffers, classes into scores. The frameworks are stand-ins."""
    main = HERE.parent / "swift_glue" / "main.swift"
    program = build(main, generated / "swift", ["CoreGraphics", "ImageIO", "Vision"], tmp_path)
    results = json.loads(swift(program, generated / "dist"))
    assert results.pop("frames") == [True, True]
    assert len(results) == 16
    for name, passed in results.items():
        # A package that takes the tensor has no colours to swap.
        assert passed == ["picture" not in name or "swapped" not in name] * 3, name


def test_it_is_formatted(generated: Path) -> None:
    assert swift("swift-format", "lint", "--strict", "--recursive", "swift", cwd=generated) == ""
