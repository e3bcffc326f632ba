"""`mlc demo`: what it serves, what it writes, what it refuses."""

from __future__ import annotations

import json
import threading
from http.client import HTTPConnection
from pathlib import Path

import pytest

from mlc.demo.page import build_page
from mlc.demo.serve import make_server
from tests.bindings import exam
from tests.command import mlc


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exam.bundle(tmp_path_factory.mktemp("demo"))


def test_it_serves_page_and_bundle_isolated_and_nothing_else(bundle: Path) -> None:
    with make_server(build_page(), bundle, 0) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        assert server.server_address[0] == "127.0.0.1"

        def get(path: str) -> tuple[int, str | None, str | None, bytes]:
            connection = HTTPConnection("127.0.0.1", server.server_port)
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            isolated = answer.getheader("Cross-Origin-Opener-Policy")
            isolated = isolated and f"{isolated} {answer.getheader('Cross-Origin-Embedder-Policy')}"
            connection.close()
            return answer.status, answer.getheader("Content-Type"), isolated, body

        assert get("/")[:3] == (200, "text/html", "same-origin require-corp")
        manifest = (bundle / "manifest.json").read_bytes()
        assert get("/bundle/manifest.json")[1:] == (
            "application/json",
            "same-origin require-corp",
            manifest,
        )
        (wasm,) = build_page().glob("libraries/tfjs-*/tfjs-backend-wasm.wasm")
        assert get(f"/{wasm.relative_to(build_page())}")[1] == "application/wasm"
        for outside in (
            "/bundle/../../etc/hosts",
            "/bundle/%2e%2e/%2e%2e/etc/hosts",
            "/../etc/hosts",
        ):
            assert get(outside)[0] == 404
        server.shutdown()


def test_a_taken_port_is_a_sentence(bundle: Path) -> None:
    with make_server(build_page(), bundle, 0) as server:
        done = mlc("demo", bundle, "--serve", "--port", server.server_port)
    assert done.code == 5
    assert f"Port {server.server_port} of this machine cannot be used" in done.err


def test_it_writes_a_static_site(bundle: Path, tmp_path: Path) -> None:
    site = tmp_path / "public" / "site"
    done = mlc("demo", bundle, "-o", site)
    assert done.code == 0, done.err
    manifest = json.loads((site / "bundle" / "manifest.json").read_text())
    written = {p.relative_to(site / "bundle").as_posix() for p in (site / "bundle").rglob("*.*")}
    assert "golden/golden.json" in written
    assert not any("mlpackage" in name for name in written)
    wanted = [a["file"] for a in manifest["artifacts"] if a["target"] != "coreml"]
    assert all((site / "bundle" / file).exists() for file in wanted)
    assert (site / "index.html").is_file()
    assert list(site.parent.iterdir()) == [site]
    again = mlc("demo", bundle, "-o", site)
    assert again.code == 2
    assert "is not empty" in again.err


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    assert mlc("demo", tmp_path / "nowhere", "--serve").code == 4
    assert mlc("demo", tmp_path, "--serve").code == 4
    unsaid = mlc("demo", tmp_path)
    assert unsaid.code == 2
    assert "--serve" in unsaid.err


def test_a_bundle_without_artifacts_for_browsers_is_refused(bundle: Path, tmp_path: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["artifacts"] = []
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    done = mlc("demo", tmp_path, "--serve")
    assert done.code == 2
    assert "--targets tfjs,onnx,tflite" in done.err
