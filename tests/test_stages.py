"""Stages: once per cause, whole or not at all, told to the watcher. Here without processes."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from mlc.errors import SourceError
from mlc.progress import Advance, forget, look, tell
from mlc.stages import Silent, Stages
from mlc.store import Store
from mlc.workers import Workers


class Inline:
    """Workers that run a task at once, in this process."""

    def __init__(self) -> None:
        self.tasks = 0

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        self.tasks += 1
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)
        return future

    def __exit__(self, *_: object) -> None:
        pass


class Listening:
    def __init__(self) -> None:
        self.heard: list[tuple[str, ...]] = []

    def started(self, title: str) -> None:
        self.heard.append(("started", title))

    def advanced(self, title: str, advance: Advance) -> None:
        self.heard.append(("advanced", title, advance.news))

    def finished(self, title: str, seconds: float, cached: bool) -> None:
        assert seconds >= 0
        self.heard.append(("finished", title, "cached" if cached else "done"))


Open = Callable[..., Stages]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    def opened(watcher: Any = None) -> Stages:
        stages = Stages(Store(tmp_path / "store"), Workers(tmp_path / "log"), watcher or Silent())
        stages._workers = Inline()  # type: ignore[assignment]
        return stages

    return opened


@pytest.fixture
def entries(tmp_path: Path) -> Callable[[], list[str]]:
    return lambda: sorted(p.name for p in (tmp_path / "store").iterdir())


def write(folder: Path, text: str) -> int:
    (folder / "file").write_text(text)
    return len(text)


def refuse(folder: Path) -> None:
    (folder / "half").write_text("written")
    raise SourceError("no")


def test_what_is_known_is_not_done_again(opened: Open) -> None:
    watcher = Listening()
    with opened(watcher) as stages:
        first = stages.run("write", ("x",), write, "hello").result()
        again = stages.run("write", ("x",), write, "hello").result()
        other = stages.run("write", ("y",), write, "hi").result()
        assert stages._workers.tasks == 2  # type: ignore[attr-defined]
    assert again == first
    assert (first.value, other.value) == (5, 2)
    assert (first.folder / "file").read_text() == "hello"
    assert watcher.heard == [
        ("started", "write"),
        ("finished", "write", "done"),
        ("finished", "write", "cached"),
        ("started", "write"),
        ("finished", "write", "done"),
    ]
    with opened() as later:
        assert later.run("write", ("x",), write, "hello").result() == first
        assert later._workers.tasks == 0  # type: ignore[attr-defined]


def test_causes_that_cannot_be_told_are_done_every_time_and_leave_nothing(
    opened: Open, entries: Callable[[], list[str]]
) -> None:
    with opened() as stages:
        found = [stages.run("write", None, write, text).result() for text in ("a", "bc")]
        assert [f.value for f in found] == [1, 2]
        assert [(f.folder / "file").read_text() for f in found] == ["a", "bc"]
        kept = stages.run("write", (), write, "kept").result()
    assert entries() == [kept.folder.name]


def test_a_failed_stage_tells_its_error_and_leaves_nothing(
    opened: Open, entries: Callable[[], list[str]]
) -> None:
    watcher = Listening()
    with opened(watcher) as stages:
        future = stages.run("refuse", ("x",), refuse)
        assert isinstance(future.exception(), SourceError)
        assert isinstance(stages.run("refuse", ("x",), refuse).exception(), SourceError)
        assert stages._workers.tasks == 2, "an error is not remembered"  # type: ignore[attr-defined]
    assert entries() == []
    assert watcher.heard[:2] == [("started", "refuse"), ("finished", "refuse", "done")]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_while_storing_is_told_instead_of_waiting_for_ever(
    opened: Open, entries: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "put", full)
    with opened() as stages:
        error = stages.run("write", ("x",), write, "hello").exception(timeout=10)
        assert isinstance(error, OSError)
        assert error.errno == errno.ENOSPC
    assert entries() == []


@pytest.fixture
def trims(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Store]]:
    calls: list[Store] = []
    monkeypatch.setattr(Store, "trim", lambda self: calls.append(self))
    return calls


def test_the_store_is_trimmed_only_after_work(opened: Open, trims: list[Store]) -> None:
    with opened() as stages:
        stages.run("write", ("x",), write, "hello").result()
    assert len(trims) == 1
    with opened() as stages:
        stages.run("write", ("x",), write, "hello").result()
    assert len(trims) == 1, "a build from the cache has nothing to tidy"


def half(folder: Path, fail: bool) -> str:
    """Writes a part, and goes on from it when it is called again."""
    found = (folder / "part").exists()
    (folder / "part").write_text("written")
    tell(folder, Advance(0.5, "half"))
    if fail:
        raise KeyboardInterrupt
    return "went on" if found else "from the first"


def test_an_interrupted_stage_goes_on_where_it_was(
    opened: Open, entries: Callable[[], list[str]]
) -> None:
    with opened() as stages:
        stages._stopping = True  # as it is once Ctrl-C has reached the parent
        with pytest.raises(KeyboardInterrupt):
            stages.resume("half", ("x",), half, True).result()
    assert [e for e in entries() if e.startswith("unfinished-")]
    with opened() as stages:
        stored = stages.resume("half", ("x",), half, False).result()
        assert stored.value == "went on"
        assert sorted(p.name for p in stored.folder.iterdir()) == ["part", "result.pickle"]
    assert not [e for e in entries() if e.startswith("unfinished-")]


def test_a_stage_that_failed_by_itself_starts_anew(opened: Open) -> None:
    with opened() as stages:
        with pytest.raises(KeyboardInterrupt):
            stages.resume("half", ("x",), half, True).result()
        assert stages.resume("half", ("x",), half, False).result().value == "from the first"


def test_two_builds_do_not_write_into_one_folder(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    (first, lock), (second, other) = store.unfinished("x"), store.unfinished("x")
    assert first != second
    os.close(lock)
    os.close(other)
    third, lock = store.unfinished("x")
    assert third == first
    os.close(lock)


def test_the_watcher_hears_how_far_a_stage_is(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlc.stages._LOOK_SECONDS", 0.01)
    watcher = Listening()
    with opened(watcher) as stages:
        tell(tmp_path, Advance(0.25, "a quarter"))
        stages._look_at(tmp_path, "long")
        deadline = time.monotonic() + 10
        while not watcher.heard and time.monotonic() < deadline:
            time.sleep(0.01)
    assert watcher.heard[0] == ("advanced", "long", "a quarter")
    forget(tmp_path)
    forget(tmp_path)
    assert look(tmp_path) is None
