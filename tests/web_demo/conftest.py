"""A small bundle of pictures, served by `mlc demo`, and a browser."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlc.demo.page import build_page
from mlc.demo.serve import make_server
from tests import networks
from tests.command import mlc
from tests.photographs import photographs
from tests.web_demo.chromium import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LABELS = ("tram", "hot_dog", "cat", "house", "rose")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of five labels for the three formats of the web, with three golden pictures."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("web_demo")
    (folder / "pictures").mkdir()
    for k, picture in enumerate(photographs(6, 48, 64)):
        Image.fromarray(picture.astype(np.uint8)).save(folder / "pictures" / f"{k}.png")
    (folder / "labels.txt").write_text("\n".join(LABELS))
    done = mlc(
        *("build", networks.save("cnn", folder / "cnn.keras"), "-t", "tfjs,onnx,tflite"),
        *("--data", folder / "pictures", "--labels", folder / "labels.txt"),
        *("--resize", "crop", "--crop-fraction", 0.9, "--color", "bgr", "-o", folder / "dist"),
    )
    assert done.code == 0, done.err
    return folder / "dist"


@pytest.fixture
def copied(bundle: Path, tmp_path: Path) -> Path:
    """A bundle to spoil."""
    return Path(shutil.copytree(bundle, tmp_path / "dist"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@dataclass(frozen=True)
class Served:
    """A running `mlc demo --serve`; `stop` ends it at once."""

    url: str
    stop: Callable[[], None]


@contextmanager
def serve(bundle: Path, page: Path | None = None) -> Iterator[Served]:
    server = make_server(page or build_page(), bundle, 0)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def stop() -> None:
        server.shutdown()
        server.server_close()

    try:
        yield Served(f"http://127.0.0.1:{server.server_port}/", stop)
    finally:
        stop()


@contextmanager
def visitor(browser: Browser) -> Iterator[Page]:
    """A page of a profile of its own. It waits long: a busy machine runs WebGPU on its processor."""
    with browser.new_context() as context:
        context.set_default_timeout(240_000)
        yield context.new_page()


@pytest.fixture
def page(browser: Browser, bundle: Path) -> Iterator[Page]:
    """The page with the bundle, ready to answer."""
    with serve(bundle) as served, visitor(browser) as opened:
        opened.goto(served.url)
        opened.wait_for_selector("#labels")
        yield opened
