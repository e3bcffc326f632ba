"""The TypeScript client in a real browser: its database outlives the page."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from mlc.channel.publish import rollback
from tests.channel.bundles import Publisher
from tests.channel.drivers import LANGUAGES
from tests.channel.server import Fault, Host, host

pytestmark = pytest.mark.apps

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-gpu"),
)


def visit(running: Host, key: str, profile: Path) -> str:
    """Open the page, wait for what it tells, leave."""
    assert BROWSER
    running.requests.clear()
    url = f"{running.url}/page.html?key={quote(key, safe='')}"
    browser = subprocess.Popen(
        [BROWSER, *OPTIONS, f"--user-data-dir={profile}", url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(600):
            told = [path for path, _ in running.requests if path.startswith("/told/")]
            if told:
                time.sleep(0.5)  # the database is written by another process of the browser
                return unquote(told[0].removeprefix("/told/"))
            time.sleep(0.1)
    finally:
        browser.terminate()
        _, complaints = browser.communicate(timeout=30)
    raise AssertionError(complaints[-2000:])


@pytest.mark.skipif(
    not BROWSER, reason="there is no Chromium: the browser's database is not tested"
)
def test_models_outlive_the_page(tmp_path: Path) -> None:
    publisher, profile = Publisher(tmp_path), tmp_path / "profile"
    LANGUAGES["typescript"](tmp_path / "js")
    publisher.publish("1.0", targets=("tfjs",), size=200_000)
    shutil.copytree(tmp_path / "js", publisher.site / "js")
    page = '<!doctype html><script type="module" src="js/tests/channel/typescript/browser.js"></script>'
    (publisher.site / "page.html").write_text(page)
    with host(publisher.site) as running:
        assert visit(running, publisher.public, profile) == " updated  1.0 1"
        assert visit(running, publisher.public, profile) == "1.0 current  1.0 1"
        assert running.answers("models.json") == [304]
        publisher.publish("2.0", targets=("tfjs",), size=200_000)
        running.faults = [Fault("/files/", "cut")]
        assert visit(running, publisher.public, profile).startswith("1.0 failed network 1.0")
        running.faults = []
        assert visit(running, publisher.public, profile) == "1.0 updated  2.0 2"
        rollback(publisher.site, publisher.signing)
        assert visit(running, publisher.public, profile) == "2.0 updated  1.0 2"
        assert visit(running, "A" * 43 + "=", profile) == "1.0 failed signature 1.0 2"
