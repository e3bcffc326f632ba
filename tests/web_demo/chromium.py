"""Chromium without a window, with a camera that is not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["chromium"]

OPTIONS = (
    *("--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-quic"),
    *("--disable-component-update", "--disable-sync"),
    "--enable-unsafe-webgpu",  # on the processor, where there is no graphics card
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's Chromium, else one that Playwright downloaded; tests without either are skipped."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        program = os.environ.get("CHROMIUM") or found or playwright.chromium.executable_path
        if not Path(program).exists():
            pytest.skip(
                "there is no Chromium (playwright install chromium, or one of the system): the web demo "
                "is not tested in a browser"
            )
        browser = playwright.chromium.launch(executable_path=program, args=list(OPTIONS))
        try:
            yield browser
        finally:
            browser.close()
