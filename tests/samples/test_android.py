"""The Android sample, built, packaged and run as far as goes without a phone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlc.channel import keys
from mlc.channel.publish import Signing, publish
from tests.channel.server import Host, host
from tests.kotlin import android
from tests.samples.android import SAMPLE, Build, setting
from tests.toolchains import ROOT, run

pytestmark = [pytest.mark.apps, pytest.mark.xdist_group("android")]

TESTS = SAMPLE / "app" / "src" / "test" / "kotlin"


def bundle(model: str, folder: Path) -> Path:
    """A bundle as the README of the sample makes it."""
    options = ["--targets", "tflite", "--bindings", "kotlin", "--samples", "4", "--golden", "2"]
    command = [sys.executable, "-m", "mlc", "build", str(ROOT / "examples" / model), *options]
    done = subprocess.run([*command, "-o", str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The app of Not Hotdog, linked and compiled."""
    folder = tmp_path_factory.mktemp("android")
    made = Build(bundle("not_hotdog/not_hotdog.h5", folder / "dist"), folder)
    made.take_bundle()
    made.link()
    made.compile()
    made.compile_tests()
    return made


@pytest.fixture
def channel(built: Build, tmp_path: Path) -> Iterator[tuple[Host, str]]:
    """A running channel with version 2.0 of the app's model, and its public key."""
    shutil.copytree(built.bundle, tmp_path / "dist")
    manifest = json.loads((tmp_path / "dist" / "manifest.json").read_text())
    manifest["model"]["version"] = "2.0"
    (tmp_path / "dist" / "manifest.json").write_text(json.dumps(manifest))
    key = keys.generate(tmp_path / "key.pem")
    publish(tmp_path / "dist", tmp_path / "site", Signing(tmp_path / "key.pem"))
    with host(tmp_path / "site") as running:
        yield running, key


def test_the_app_runs_on_a_jvm(built: Build, channel: tuple[Host, str], tmp_path: Path) -> None:
    """All of its own tests: models in a real interpreter, on Android's own code, with real updates.

    And with another bundle in the same classes: ten digits in grey of 8 × 8 pixels.
    """
    running, key = channel
    other = bundle("digits/digits.keras", tmp_path / "other")
    properties = {"mlc.channel": running.url, "mlc.channel.key": key, "mlc.other": str(other)}
    printed = built.run_tests(properties)
    written = sum(
        len(re.findall(r"^\s+@Test$", t.read_text(), re.M)) for t in TESTS.rglob("*Test.kt")
    )
    assert f"OK ({written} tests)" in printed
    assert 200 in running.answers("models.json")  # no test was passed over for want of a channel


def test_the_apk_is_whole(built: Build) -> None:
    built.dex()
    apk = built.package()
    verified = android("apksigner", "verify", "--verbose", apk)
    assert re.search(r"Verified using v[23] scheme .*: true", verified)
    android("zipalign", "-c", "-p", "4", apk)
    facts = android("aapt2", "dump", "badging", apk)
    assert f"package: name='{setting('applicationId')}'" in facts
    assert (
        f"minSdkVersion:'{setting('minSdk')}'\ntargetSdkVersion:'{setting('targetSdk')}'" in facts
    )
    assert "launchable-activity: name='mlc.sample.MainActivity'" in facts
    assert "uses-feature: name='android.hardware.camera'" not in facts  # photos work without
    with zipfile.ZipFile(apk) as files:
        model = files.getinfo("assets/not_hotdog.tflite")
        assert model.compress_type == zipfile.ZIP_STORED  # or it could not be mapped
        assert files.read(model) == (built.bundle / "not_hotdog.tflite").read_bytes()
        abis = {Path(name).parent.name for name in files.namelist() if name.endswith(".so")}
        assert abis == {"arm64-v8a", "armeabi-v7a", "x86", "x86_64"}


def test_a_tampered_apk_is_found(built: Build, tmp_path: Path) -> None:
    """So that the verification above means something."""
    data = bytearray((built.folder / "not_hotdog.apk").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "tampered.apk").write_bytes(data)
    with pytest.raises(pytest.fail.Exception, match="DOES NOT VERIFY"):
        android("apksigner", "verify", tmp_path / "tampered.apk")


def test_gradle_builds_it(built: Build) -> None:
    """The project as developers build it."""
    if not (shutil.which("gradle") and os.environ.get("ANDROID_HOME")):
        pytest.skip(
            "There is no Gradle with an Android SDK: the Gradle project is not verified here."
        )
    tasks = ("assembleDebug", "testDebugUnitTest")
    run("gradle", "--project-dir", SAMPLE, f"-Pbundle={built.bundle}", *tasks)
