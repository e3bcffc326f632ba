"""The Android sample without Gradle: its steps, one by one, with the tools that are here.

Every step writes into the folder of the build and needs those before it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree

from tests.kotlin import android, jars, kotlin, path
from tests.toolchains import ROOT, run

__all__ = ["SAMPLE", "Build", "setting"]

SAMPLE = ROOT / "android_sample"
_MAIN = SAMPLE / "app" / "src" / "main"
_TEST = SAMPLE / "app" / "src" / "test"
_ANDROID = "{http://schemas.android.com/apk/res/android}"
_ROBOLECTRIC = "android-all-15-robolectric-13954326.jar"  # as Robolectric looks for it, offline


def setting(name: str) -> str:
    """A value of `app/build.gradle.kts`, so that it stands in one place."""
    text = (SAMPLE / "app" / "build.gradle.kts").read_text()
    found = re.search(rf'^\s*{name} = "?([^"\n]+)"?$', text, re.M)
    assert found, f"app/build.gradle.kts sets no {name}"
    return found.group(1)


@dataclass(frozen=True)
class Build:
    """A build of the sample from a bundle, in a folder of its own."""

    bundle: Path
    folder: Path

    @cached_property
    def android(self) -> Path:
        """Android's own classes and resources, of the newest API."""
        return jars("android") / "android-all.jar"

    @cached_property
    def libraries(self) -> Sequence[Path]:
        """What goes into the app beside its own code."""
        names = ("kotlin-stdlib", "tensorflow-lite", "tensorflow-lite-api")
        return [jars() / f"{name}.jar" for name in names]

    @cached_property
    def testing(self) -> Path:
        """The libraries of the tests."""
        return jars("android-test")

    def take_bundle(self) -> None:
        """The copy step of Gradle's `takeBundle`."""
        assets = self.folder / "assets"
        shutil.copytree(self.bundle / "golden", assets / "golden")
        for file in (*self.bundle.glob("*.tflite"), self.bundle / "manifest.json"):
            shutil.copy(file, assets / file.name)
        shutil.copytree(self.bundle / "bindings" / "kotlin", self.folder / "kotlin")

    def link(self) -> None:
        """Manifest, resources and assets → `resources.apk` and `R.java`."""
        manifest = self.folder / "AndroidManifest.xml"
        manifest.write_text(_merged((_MAIN / "AndroidManifest.xml").read_text()))
        android("aapt2", "compile", "--dir", _MAIN / "res", "-o", self.folder / "res.zip")
        versions = {
            "--min-sdk-version": "minSdk",
            "--target-sdk-version": "targetSdk",
            "--version-code": "versionCode",
            "--version-name": "versionName",
        }
        options = [part for flag, name in versions.items() for part in (flag, setting(name))]
        options += ["-I", str(self.android), "-A", str(self.folder / "assets"), "-0", "tflite"]
        options += ["--java", str(self.folder / "r"), "-o", str(self.folder / "resources.apk")]
        android("aapt2", "link", *options, "--manifest", manifest, self.folder / "res.zip")
        run("javac", "-d", self.folder / "r.classes", *(self.folder / "r").rglob("R.java"))

    def compile(self) -> Path:
        """The app's classes, against Android and TFLite as they are. Warnings are errors."""
        classes = self.folder / "app.jar"
        sources = [self.folder / "kotlin", _MAIN / "kotlin"]
        _kotlinc([*self.libraries, self.folder / "r.classes", self.android], sources, classes)
        return classes

    def compile_tests(self) -> Path:
        classes = self.folder / "test.jar"
        app = self.folder / "app.jar"
        libraries = [*self.libraries, self.android, *self.testing.glob("*.jar")]
        _kotlinc([app, self.folder / "r.classes", *libraries], [_TEST / "kotlin"], classes)
        return classes

    def run_tests(self, properties: Mapping[str, str]) -> str:
        """What JUnit prints of all test classes, with Robolectric offline."""
        dependencies = self.folder / "robolectric"
        dependencies.mkdir()
        android_all = self.testing / "org.robolectric.android-all.jar"
        (dependencies / _ROBOLECTRIC).symlink_to(android_all)
        self._tell_robolectric()
        settings = {
            "robolectric.offline": "true",
            "robolectric.dependency.dir": str(dependencies),
            "robolectric.usePreinstrumentedJars": "false",
            "mlc.bundle": str(self.folder / "assets"),
            **properties,
        }
        own = [
            self.folder / "test.jar",
            _TEST / "resources",
            self.folder / "told",
            self.folder / "app.jar",
        ]
        classpath = [*own, self.folder / "r.classes", *self.libraries]
        classpath += [*self.testing.glob("*.jar")]
        defined = [f"-D{name}={value}" for name, value in settings.items()]
        opened = "java.base/java.io=ALL-UNNAMED"  # Robolectric fills in file descriptors
        java = [
            "java",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "--add-opens",
            opened,
            *defined,
        ]
        done = subprocess.run(
            [
                *java,
                "-cp",
                path(classpath),
                "org.junit.runner.JUnitCore",
                *_test_classes(),
            ],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-4000:]
        return done.stdout

    def _tell_robolectric(self) -> None:
        """Where the app's resources are, as Android's Gradle plugin tells it."""
        told = self.folder / "told" / "com" / "android" / "tools" / "test_config.properties"
        told.parent.mkdir(parents=True)
        facts = {
            "android_merged_manifest": self.folder / "AndroidManifest.xml",
            "android_merged_assets": self.folder / "assets",
            "android_resource_apk": self.folder / "resources.apk",
            "android_custom_package": setting("namespace"),
        }
        told.write_text("".join(f"{name}={value}\n" for name, value in facts.items()))

    def dex(self) -> None:
        """All that runs on the device → `classes.dex`."""
        r = self.folder / "r.jar"
        run("jar", "cf", r, "-C", self.folder / "r.classes", ".")
        program = [self.folder / "app.jar", r, *self.libraries]
        options = ["--release", "--min-api", setting("minSdk"), "--lib", str(self.android)]
        android("d8", *options, "--output", self.folder, *program)

    def package(self) -> Path:
        """Resources, code, native libraries → an APK, aligned and signed with a throw-away key."""
        unsigned = self.folder / "unsigned.apk"
        shutil.copy(self.folder / "resources.apk", unsigned)
        with zipfile.ZipFile(unsigned, "a") as apk:
            for dex in self.folder.glob("classes*.dex"):
                apk.write(dex, dex.name, zipfile.ZIP_DEFLATED)
            natives = jars() / "jni"
            for library in sorted(natives.rglob("*.so")):
                apk.write(library, f"lib/{library.relative_to(natives)}")
        aligned, signed = self.folder / "aligned.apk", self.folder / "not_hotdog.apk"
        android("zipalign", "-f", "-p", "4", unsigned, aligned)
        key, password = self.folder / "throw-away.p12", "throw-away"
        names = ["-alias", "k", "-dname", "CN=Throw-away", "-validity", "1"]
        kind = ["-keyalg", "EC", "-groupname", "secp256r1", "-storetype", "PKCS12"]
        run("keytool", "-genkeypair", *names, *kind, "-keystore", key, "-storepass", password)
        store = ["--ks", key, "--ks-pass", f"pass:{password}", "--out", signed]
        android("apksigner", "sign", *store, aligned)
        return signed


def _merged(manifest: str) -> str:
    """The manifest as Android's Gradle plugin completes it: with the package and the application's id."""
    ElementTree.register_namespace("android", _ANDROID[1:-1])
    root = ElementTree.fromstring(manifest.replace("${applicationId}", setting("applicationId")))
    root.set("package", setting("namespace"))
    return ElementTree.tostring(root, encoding="unicode")


def _kotlinc(classpath: Sequence[Path], sources: Sequence[Path], classes: Path) -> None:
    options = ["-Werror", "-jvm-target", "1.8", "-cp", path(classpath), "-d", str(classes)]
    kotlin("kotlinc", *options, *sources)


def _test_classes() -> list[str]:
    tests = sorted((_TEST / "kotlin").rglob("*Test.kt"))
    return [str(t.relative_to(_TEST / "kotlin").with_suffix("")).replace("/", ".") for t in tests]
