"""The page follows an update channel, in a real browser and with real networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlc.channel import keys
from mlc.channel.publish import Signing, publish
from tests.command import mlc
from tests.web_demo.bundles import name_version, spoil_weights
from tests.web_demo.conftest import serve, visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.xdist_group("web_demo")


def test_an_update_runs_only_after_its_golden_cases(
    browser: Browser, bundle: Path, copied: Path, tmp_path: Path
) -> None:
    site, key = tmp_path / "site", tmp_path / "key.pem"
    public = keys.generate(key)
    done = mlc("demo", bundle, "-o", site, "--channel", "models", "--public-key", public)
    assert done.code == 0, done.err
    with serve(site / "bundle", site) as served, visitor(browser) as page:

        def visit() -> str:
            """What the page says of its model and of updates."""
            page.goto(served.url)
            page.wait_for_selector("#labels")
            news = page.wait_for_selector("#news")
            assert news
            page.wait_for_selector("#labels")
            model = page.inner_text("footer .hint").split(" · ")[0]
            return f"{model}: {news.inner_text()}"

        assert visit().startswith("cnn 1.0.0: no update: network")
        name_version(copied, "2.0")
        publish(copied, site / "models", Signing(key))
        assert visit() == "cnn 2.0: updated to 2.0 just now"
        assert visit() == "cnn 2.0: no newer model"
        name_version(copied, "3.0")
        spoil_weights(copied)
        publish(copied, site / "models", Signing(key))
        assert visit().startswith("cnn 2.0: no update: self-test")
        assert visit().startswith("cnn 2.0: no update: rejected")
