"""Sizes of files and folders, raw and as a download."""

from __future__ import annotations

import gzip
from pathlib import Path

from mlc.validate.size import measure, weigh


def test_a_file_and_a_folder_of_it_weigh_the_same(tmp_path: Path) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    zeros, digits = bytes(10_000), bytes(range(256))
    (tmp_path / "folder" / "a").write_bytes(zeros)
    (tmp_path / "folder" / "deep" / "b").write_bytes(digits)
    whole = measure(tmp_path / "folder")
    assert whole.raw == len(zeros) + len(digits) == weigh(tmp_path / "folder")
    alone = measure(tmp_path / "folder" / "a")
    assert alone.raw == 10_000 == weigh(tmp_path / "folder" / "a")
    assert alone.gzip == len(gzip.compress(zeros, 6, mtime=0)) < 100
    assert whole.gzip == alone.gzip + len(gzip.compress(digits, 6, mtime=0))
    assert measure(tmp_path / "folder") == whole, "gzip is told no time: the same in every run"
