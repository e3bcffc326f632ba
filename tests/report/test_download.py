"""What an app's download grows by: the platform's own compression, and advice only where it helps."""

from __future__ import annotations

import pytest

from mlc.report.download import STORE_LIMIT, downloads
from mlc.report.terminal import download_lines
from mlc.validate.size import Size

MB = 10**6


def test_stores_zip_and_servers_send_the_smaller() -> None:
    size = Size(raw=5 * MB, gzip=3 * MB, brotli=2 * MB)
    found = {(d.platform, d.target): d for d in downloads([("tflite", size), ("coreml", size)])}
    assert set(found) == {("Android", "tflite"), ("web", "tflite"), ("iOS", "coreml")}
    assert (found["iOS", "coreml"].bytes, found["iOS", "coreml"].packed) == (3 * MB, "zip")
    assert found["Android", "tflite"].installed == 5 * MB
    assert (found["web", "tflite"].bytes, found["web", "tflite"].packed) == (2 * MB, "brotli")
    (worse,) = downloads([("onnx", Size(5 * MB, 3 * MB, 4 * MB))])
    assert (worse.bytes, worse.packed) == (3 * MB, "gzip")


@pytest.mark.parametrize(
    ("target", "share", "said"),
    [
        ("coreml", 0.09, ""),
        ("coreml", 0.5, "It is 50% of the 200 MB above which the App Store asks"),
        ("coreml", 1.5, "on-demand resource"),
        ("tflite", 0.25, "Play Asset Delivery"),
    ],
)
def test_advice_comes_with_size(target: str, share: float, said: str) -> None:
    count = int(share * STORE_LIMIT)
    first = downloads([(target, Size(2 * count, count, count))])[0]
    assert said in first.hint
    assert bool(said) == bool(first.hint)


def test_a_page_should_not_wait_for_a_large_model() -> None:
    (small,), (large,) = (downloads([("tfjs", Size(n, n, n))]) for n in (4 * MB, 40 * MB))
    assert small.hint == ""
    assert "At 8 Mbit/s it takes 40 s" in large.hint
    lines = [line.plain for line in download_lines((small, large))]
    assert lines[0].startswith("  an app's download grows by: web 4.00 MB (tfjs, gzip)")
    assert len(lines) == 2
    assert download_lines(()) == []
