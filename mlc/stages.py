"""Stages: work that runs in a worker process once, and is remembered by what it depended on."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from mlc.progress import Advance, forget, look
from mlc.store import Store, Stored, key
from mlc.workers import Workers

__all__ = ["Silent", "Stages", "Watcher"]

_LOOK_SECONDS = 0.5


class Watcher(Protocol):
    """Is told how a command gets on. May be called from any thread."""

    def started(self, title: str) -> None:
        """A stage begins."""

    def advanced(self, title: str, advance: Advance) -> None:
        """A stage that takes long has got on."""

    def finished(self, title: str, seconds: float, cached: bool) -> None:
        """A stage ended, well or not."""


class Silent:
    """Tells nobody."""

    def started(self, title: str) -> None:
        """Nothing."""

    def advanced(self, title: str, advance: Advance) -> None:
        """Nothing."""

    def finished(self, title: str, seconds: float, cached: bool) -> None:
        """Nothing."""


class Stages:
    """Runs stages. State: the store they are remembered in and the processes they run in.

    What stages wrote is there until the end of the `with` block; afterwards only what can be used again.
    """

    def __init__(self, store: Store, workers: Workers, watcher: Watcher) -> None:
        self._store = store
        self._workers = workers
        self._watcher = watcher
        self._ran = self._stopping = False
        self._left_behind: set[Path] = set()  # nobody can use these again
        self._running: dict[Path, str] = {}  # titles by folder
        self._over = threading.Event()
        self._looking: threading.Thread | None = None

    def run(
        self,
        title: str,
        depends_on: tuple[object, ...] | None,
        function: Callable[..., Any],
        *arguments: Any,
    ) -> Future[Stored]:
        """Run `function(folder, *arguments)` in a worker, unless its result is known.

        `depends_on` is everything that the result depends on; None says that this cannot be told, and the
        stage always runs. What the function writes into `folder` is kept with what it returns.
        """
        return self._run(title, depends_on, function, arguments, resumes=False)

    def resume(
        self,
        title: str,
        depends_on: tuple[object, ...] | None,
        function: Callable[..., Any],
        *arguments: Any,
    ) -> Future[Stored]:
        """As `run`, but where the stage was interrupted, `folder` holds what it had written then."""
        return self._run(title, depends_on, function, arguments, resumes=depends_on is not None)

    def _run(
        self,
        title: str,
        depends_on: tuple[object, ...] | None,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        resumes: bool,
    ) -> Future[Stored]:
        outer: Future[Stored] = Future()
        name = _name(function, depends_on if depends_on is not None else (uuid.uuid4(),))
        if depends_on is not None and (stored := self._store.get(name)):
            self._watcher.finished(title, 0.0, cached=True)
            outer.set_result(stored)
            return outer
        self._ran = True
        self._watcher.started(title)
        start = time.perf_counter()
        folder, lock = self._store.unfinished(name) if resumes else (self._store.scratch(), None)
        if not resumes:
            self._left_behind.add(folder)
        self._look_at(folder, title)

        def done(inner: Future[Any]) -> None:
            del self._running[folder]
            if not self._stopping:
                self._watcher.finished(title, time.perf_counter() - start, cached=False)
            forget(folder)
            try:
                stored = self._store.put(name, folder, inner.result())
                if depends_on is None:
                    self._left_behind.add(stored.folder)
            except BaseException as error:  # whatever it is, it is told to the one who waits
                if not (resumes and self._stopping):
                    self._store.discard(folder)
                outer.set_exception(error)
            else:
                outer.set_result(stored)
            finally:
                if lock is not None:
                    os.close(lock)

        self._workers.submit(function, folder, *arguments).add_done_callback(done)
        return outer

    def _look_at(self, folder: Path, title: str) -> None:
        """Tell the watcher how far a stage is, as long as it runs."""
        self._running[folder] = title
        if self._looking is None:
            self._looking = threading.Thread(target=self._look, daemon=True)
            self._looking.start()

    def _look(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            for folder, title in list(self._running.items()):
                if advance := look(folder):
                    self._watcher.advanced(title, advance)

    def knows(self, depends_on: tuple[object, ...], function: Callable[..., Any]) -> bool:
        """Whether `run` would find the result in the store."""
        return self._store.get(_name(function, depends_on)) is not None

    def __enter__(self) -> Stages:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping = error is not None
        self._over.set()
        self._workers.__exit__(kind, error, traceback)
        for folder in self._left_behind:
            self._store.discard(folder)
        if self._ran:
            self._store.trim()


def _name(function: Callable[..., Any], depends_on: tuple[object, ...]) -> str:
    return key(function.__module__, function.__qualname__, *depends_on)
