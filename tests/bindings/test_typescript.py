"""The TypeScript bindings: type-checked against the libraries they adapt, and run under Node."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from mlc.bindings.generate import LANGUAGES, generate
from mlc.bundle.manifest import read_manifest
from mlc.node import find_node, packages
from tests import networks
from tests.bindings import exam
from tests.command import mlc

HERE = Path(__file__).parent / "typescript"
OPTIONS = (
    *("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"),
    *("--noUnusedLocals", "--noUnusedParameters", "--noImplicitReturns", "--skipLibCheck"),
    *("--verbatimModuleSyntax", "--target", "es2022", "--lib", "es2023,dom"),
    *("--module", "nodenext", "--types", "node,@webgpu/types", "--outDir", "out", "--rootDir", "."),
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bindings of the exam's bundle with the harness, compiled to JavaScript."""
    folder = tmp_path_factory.mktemp("typescript")
    dist = exam.bundle(folder)
    exam.write(folder, dist)
    generate(read_manifest(dist), LANGUAGES["typescript"], folder)
    sources = folder / "typescript"
    for file in HERE.glob("*.ts"):
        (sources / file.name).write_bytes(file.read_bytes())
    (sources / "package.json").write_text('{"type": "module"}')
    node = find_node()
    installed = packages(node, HERE) / "node_modules"
    (sources / "node_modules").symlink_to(installed)
    files = sorted(f.name for f in sources.glob("*.ts"))
    compiler = installed / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        [node.node, str(compiler), *OPTIONS, *files], cwd=sources, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    return folder


def run(compiled: Path, program: str, *arguments: str) -> str:
    script = compiled / "typescript" / "out" / program
    done = subprocess.run(
        [find_node().node, str(script), *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_passes_the_exam(compiled: Path) -> None:
    run(compiled, "harness.js", str(compiled))
    assert exam.mark_pixels(compiled) == 0
    exam.mark_answers(compiled)
    assert json.loads((compiled / "answers.json").read_text())["same"]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_tfjs_passes_the_golden_cases_of_a_build(compiled: Path, tmp_path: Path) -> None:
    source, dist = networks.save("cnn", tmp_path / "cnn.keras"), tmp_path / "dist"
    how = ["--color", "bgr", "--resize", "letterbox", "--recipe", "int8-weights"]
    done = mlc("build", source, "-t", "tfjs", *how, "-o", dist)
    assert done.code == 0, done.err
    exam.decode_golden(dist)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(dist))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        said = run(compiled, "tfjs_harness.js", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    found = json.loads(said.splitlines()[-1])
    assert [case["passed"] for case in found["results"]] == [True] * 3, found
    assert {case["pixelError"] for case in found["results"]} == {0}
    assert found["best"][0]["label"] == found["results"][0]["expected"]
    assert (found["leaked"], found["left"]) == (0, 0)
