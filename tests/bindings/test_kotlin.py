"""The Kotlin bindings: compiled with the real TFLite classes, their pure part run on this JVM."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mlc.bindings.generate import LANGUAGES, generate
from mlc.bundle.manifest import read_manifest
from tests.bindings import exam
from tests.kotlin import jars, kotlin, path

HARNESS = Path(__file__).parent / "kotlin" / "Harness.kt"
STRICT = ("-Werror", "-jvm-target", "1.8")


def libraries(*names: str) -> str:
    return path(jars() / f"{name}.jar" for name in names)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exam, and the bindings of its bundle."""
    folder = tmp_path_factory.mktemp("kotlin")
    dist = exam.bundle(folder)
    exam.write(folder, dist)
    generate(read_manifest(dist), LANGUAGES["kotlin"], folder)
    return folder


@pytest.fixture(scope="module")
def sat(generated: Path) -> Path:
    """The folder of the exam after it was sat. What touches Android itself stays out here."""
    classpath = libraries("kotlin-stdlib", "json", "tensorflow-lite", "tensorflow-lite-api")
    program = generated / "exam.jar"
    sources = [str(s) for s in sources_of(generated) if s.name != "BitmapPixels.kt"]
    kotlin("kotlinc", *STRICT, "-cp", classpath, "-d", str(program), *sources, str(HARNESS))
    done = subprocess.run(
        ["java", "-cp", f"{program}{os.pathsep}{classpath}", "HarnessKt", str(generated)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return generated


def sources_of(folder: Path) -> list[Path]:
    return sorted((folder / "kotlin").rglob("*.kt"))


def test_pixels_are_pythons_to_the_last_bit(sat: Path) -> None:
    assert exam.mark_pixels(sat) == 0


def test_scores_and_golden_cases_are_judged_right(sat: Path) -> None:
    exam.mark_answers(sat)


def test_camera_frames_are_converted(sat: Path) -> None:
    exam.mark_yuv(sat)


@pytest.mark.apps
def test_all_of_it_compiles_against_android(generated: Path) -> None:
    android = jars("android")
    classpath = libraries("kotlin-stdlib", "tensorflow-lite", "tensorflow-lite-api")
    classpath += f"{os.pathsep}{android / 'android-all.jar'}"
    sources = [str(s) for s in sources_of(generated)]
    kotlin("kotlinc", *STRICT, "-cp", classpath, "-d", str(generated / "all.jar"), *sources)
