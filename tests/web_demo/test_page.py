"""The web demo in a real browser: its numbers are Python's, on every runtime."""

from __future__ import annotations

import json
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mlc
from mlc.convert.preprocessing import Preprocessing
from tests.command import mlc as command
from tests.web_demo.bundles import spoil_weights
from tests.web_demo.conftest import LABELS, serve, visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.xdist_group("web_demo")

# What each runtime computes in: GPUs are held to less than float32 of the processor.
RUNTIMES = {
    "tfjs-wasm": ("tfjs", 1e-5),
    "tfjs-webgl": ("tfjs", 1e-3),
    "tfjs-webgpu": ("tfjs", 1e-3),
    "onnx-wasm": ("onnx", 1e-5),
    "onnx-webgpu": ("onnx", 1e-3),
    "litert-wasm": ("tflite", 1e-5),
    "litert-webgpu": ("tflite", 1e-3),
}


def idle(page: Page) -> None:
    page.wait_for_selector("#panel[aria-busy=false]")


def choose(page: Page, runtime: str) -> None:
    page.locator(f"input[value={runtime}]").check(force=True)  # its label covers it
    idle(page)


def verdict(page: Page) -> str:
    return page.inner_text("#verdict").strip()


def usable(page: Page) -> set[str]:
    found = page.locator(".runtimes input:enabled").evaluate_all("all => all.map(i => i.value)")
    return set(found)


def python_scores(bundle: Path, target: str, picture: Path) -> Any:
    """What the artifact answers to a picture in Python, preprocessed by mlc itself."""
    from PIL import Image

    manifest = json.loads((bundle / "manifest.json").read_text())
    (file,) = (a["file"] for a in manifest["artifacts"] if a["target"] == target)
    declared = manifest["picture"]
    how = Preprocessing.from_json(manifest["preprocessing"])
    with Image.open(picture) as image:
        tensor = how.tensor(how.pixels(image, declared["height"], declared["width"]))
    return mlc.open(bundle / file).run({"image": tensor[None]})["scores"][0]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture that is in no bundle, of another shape than the network's."""
    from PIL import Image

    rng = np.random.default_rng(7)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 9, 3), np.uint8))
    coarse.resize((131, 83), Image.Resampling.BICUBIC).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_every_runtime_answers_as_python_does(page: Page, bundle: Path, photo: Path) -> None:
    page.set_input_files("#photo", photo)
    idle(page)
    page.get_by_role("tab", name="Compare").click()
    page.click("#compare")
    idle(page)
    rows = page.locator("#opinions tbody tr")
    said = {
        row.get_attribute("data-runtime"): row.get_attribute("data-scores") or row.inner_text()
        for row in rows.all()
    }
    assert set(said) == usable(page) >= {"tfjs-wasm", "onnx-wasm", "litert-wasm"}
    for runtime, scores in said.items():
        target, tolerance = RUNTIMES[runtime]
        expected = python_scores(bundle, target, photo)
        np.testing.assert_allclose(
            np.array(scores.split(), np.float64), expected, atol=tolerance, err_msg=runtime
        )
    best = LABELS[int(np.argmax(python_scores(bundle, "tfjs", photo)))].replace("_", " ")
    assert verdict(page).startswith(f"All {len(said)} agree: {best}.")


@pytest.mark.parametrize("runtime", ["tfjs-wasm", "onnx-wasm", "litert-wasm", "tfjs-webgl"])
def test_golden_cases_pass(page: Page, runtime: str) -> None:
    choose(page, runtime)
    page.get_by_role("tab", name="Self-test").click()
    page.click("#run-test")
    page.wait_for_selector("#cases")
    assert page.locator("#cases li[data-passed=true]").count() == 3
    assert verdict(page).startswith("Passed: 3 of 3")


def test_no_tensor_is_left_by_two_hundred_frames_of_the_camera(page: Page) -> None:
    page.click("#camera")

    def at(frames: int) -> int:
        page.wait_for_function(
            f"Number(document.getElementById('frames')?.textContent) >= {frames}"
        )
        return int(page.inner_text("#tensors"))

    first = at(10)
    assert at(210) == first > 0
    assert float(page.inner_text("#fps")) > 0
    assert page.locator("#labels li").count() == 5
    page.click("#camera")
    page.wait_for_selector("video", state="detached")


def test_a_benchmark_is_measured_and_copied(page: Page) -> None:
    page.get_by_role("tab", name="Benchmark").click()
    page.fill("input[name=runs]", "20")
    page.click("button[value=own]")
    page.wait_for_selector("#json")
    (row,) = json.loads(page.inner_text("#json"))["benchmarks"]
    assert (row["runtime"], row["runs"], row["warmUp"]) == ("TF.js wasm", 20, 3)
    assert 0 < row["fastestMs"] <= row["medianMs"] <= row["p90Ms"] <= row["p99Ms"]
    assert row["tensors"][0] == row["tensors"][1] > 0
    assert row["artifactBytes"] > 0
    assert row["codeBytes"] > 500_000
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy")
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.inner_text("#json")


def test_it_works_without_its_server_after_the_first_load(browser: Browser, bundle: Path) -> None:
    with serve(bundle) as served, visitor(browser) as page:
        page.goto(served.url)
        page.wait_for_selector("#labels")
        answer = page.inner_text("#labels")
        served.stop()
        page.reload()
        page.wait_for_selector("#labels")
        assert page.inner_text("#labels") == answer
        page.get_by_role("tab", name="Self-test").click()
        page.click("#run-test")
        page.wait_for_selector("#cases")
        assert page.locator("#cases li[data-passed=true]").count() == 3


def test_an_artifact_that_is_not_the_manifests_is_refused(browser: Browser, copied: Path) -> None:
    (shard,) = copied.glob("cnn/*.bin")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with serve(copied) as served, visitor(browser) as page:
        page.goto(served.url)
        page.wait_for_selector("#problem")
        assert "SHA-256 differs" in page.inner_text("#problem")
        assert page.locator("#labels").count() == 0


def test_a_network_that_answers_otherwise_fails_its_golden_cases(
    browser: Browser, copied: Path
) -> None:
    spoil_weights(copied)
    with serve(copied) as served, visitor(browser) as page:
        page.goto(served.url)
        page.wait_for_selector("#labels")
        page.get_by_role("tab", name="Self-test").click()
        page.click("#run-test")
        page.wait_for_selector("#cases")
        assert page.locator("#cases li[data-passed=true]").count() == 0
        assert verdict(page).startswith("Failed: 0 of 3")
        assert "is off by" in page.inner_text("#cases")


def test_another_bundle_by_address_and_by_folder(
    browser: Browser, page: Page, bundle: Path, copied: Path
) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["model"]["name"] = "second"
    (copied / "manifest.json").write_text(json.dumps(manifest))
    page.set_input_files("#folder", copied)
    page.get_by_role("heading", name="second").wait_for()
    page.wait_for_selector("#labels")

    inside = bundle / "elsewhere"
    shutil.copytree(copied, inside)
    try:
        page.goto(f"{page.url}?bundle=bundle/elsewhere&runtime=onnx-wasm")
        page.get_by_role("heading", name="second").wait_for()
        page.wait_for_selector("#labels")
        assert page.locator("input[name=runtime]:checked").input_value() == "onnx-wasm"
    finally:
        shutil.rmtree(inside)


def test_the_banner_asks_whether_it_is_a_hot_dog(page: Page, photo: Path) -> None:
    page.set_input_files("#photo", photo)
    idle(page)
    best = page.locator("#labels li").first.get_attribute("data-label")
    assert page.inner_text("#banner") == ("Hotdog!" if best == "hot_dog" else "Not hotdog")


def test_what_is_dropped_is_a_photo_or_a_bundle(page: Page, photo: Path, copied: Path) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["model"]["name"] = "dropped"
    (copied / "manifest.json").write_text(json.dumps(manifest))
    mouse = page.context.new_cdp_session(page)

    def drop(path: Path) -> None:
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            mouse.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": data})

    drop(photo)
    page.get_by_role("img", name="photo.png").wait_for()
    idle(page)
    drop(copied)
    page.get_by_role("heading", name="dropped").wait_for()
    page.wait_for_selector("#labels")
    drop(copied / "manifest.json")
    page.get_by_text("manifest.json is no picture that this browser can read.").wait_for()


def test_keys_move_between_tabs(page: Page) -> None:
    page.get_by_role("tab", name="Try it").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", name="Compare").get_attribute("aria-selected") == "true"
    page.keyboard.press("End")
    assert page.get_by_role("tab", name="Benchmark").get_attribute("aria-selected") == "true"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "warmUp"


def test_it_breaks_no_rule_of_accessibility(page: Page) -> None:
    """Names, roles, contrast and the other rules of axe, on every tab, by day and by night."""
    from axe_playwright_python.sync_playwright import Axe

    def check(where: str) -> None:
        found: Any = Axe().run(page)
        assert found.violations_count == 0, f"{where}: {found.generate_report()}"

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.get_by_role("tab", name="Try it").click()
        check(f"{scheme}, try it")
        page.get_by_role("tab", name="Self-test").click()
        page.click("#run-test")
        page.wait_for_selector("#cases")
        check(f"{scheme}, self-test")
        page.get_by_role("tab", name="Benchmark").click()
        page.fill("input[name=runs]", "3")
        page.click("button[value=own]")
        page.wait_for_selector("#json")
        idle(page)
        check(f"{scheme}, benchmark")


def test_a_phone_shows_it_without_scrolling_sideways(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    for tab in ("Try it", "Compare", "Self-test", "Benchmark"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_any_static_host_will_do(browser: Browser, bundle: Path, tmp_path: Path) -> None:
    """In a subfolder of a host that knows nothing of isolation: one thread, and all else works."""
    assert command("demo", bundle, "-o", tmp_path / "some" / "where").code == 0
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, visitor(browser) as page:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        page.goto(f"http://127.0.0.1:{server.server_port}/some/where/")
        page.wait_for_selector("#labels")
        assert not page.evaluate("crossOriginIsolated")
        assert page.evaluate("document.getElementById('app').dataset.offline") == "true"
        page.get_by_role("tab", name="Self-test").click()
        for runtime in ("tfjs-wasm", "onnx-wasm", "litert-wasm"):
            choose(page, runtime)
            page.click("#run-test")
            page.wait_for_selector("#cases")
            assert verdict(page).startswith("Passed: 3 of 3"), runtime
        server.shutdown()
