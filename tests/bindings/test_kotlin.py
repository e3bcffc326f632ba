"""The Kotlin bindings: compiled with the real TFLite classes, their pure part run on this JVM."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mlc.bindings.generate import LANGUAGES, generate
from mlc.bundle.manifest import read_manifest
from tests.bindings import exam

HERE = Path(__file__).parent / "kotlin"
TOOLCHAIN = Path(__file__).parents[2] / "toolchains" / "kotlin.sh"
_UNAVAILABLE = 77


def kotlin(*arguments: str) -> str:
    done = subprocess.run([str(TOOLCHAIN), *arguments], capture_output=True, text=True)
    if done.returncode == _UNAVAILABLE:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def sat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the exam after it was sat."""
    folder = tmp_path_factory.mktemp("kotlin")
    dist = exam.bundle(folder)
    exam.write(folder, dist)
    generate(read_manifest(dist), LANGUAGES["kotlin"], folder)
    jars = Path(kotlin("jars"))
    libraries = os.pathsep.join(
        str(jars / f"{name}.jar")
        for name in ("kotlin-stdlib", "json", "tensorflow-lite", "tensorflow-lite-api")
    )
    # Without an android.jar here, what touches Android is left to `make apps`.
    sources = [str(s) for s in (folder / "kotlin").rglob("*.kt") if s.name != "BitmapPixels.kt"]
    program = folder / "exam.jar"
    kotlin(
        *("kotlinc", "-Werror", "-jvm-target", "1.8", "-cp", libraries, "-d", str(program)),
        *(*sources, str(HERE / "Harness.kt")),
    )
    classpath = os.pathsep.join([str(program), libraries])
    done = subprocess.run(
        ["java", "-cp", classpath, "HarnessKt", str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_pixels_are_pythons_to_the_last_bit(sat: Path) -> None:
    assert exam.mark_pixels(sat) == 0


def test_scores_and_golden_cases_are_judged_right(sat: Path) -> None:
    exam.mark_answers(sat)


def test_camera_frames_are_converted(sat: Path) -> None:
    exam.mark_yuv(sat)
