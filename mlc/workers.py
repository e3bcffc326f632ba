"""Worker processes: TensorFlow is loaded there, chatter goes to a file, and a crash costs one task."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from multiprocessing import spawn
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any

from mlc.absent import absent
from mlc.errors import MlcError, first_line

__all__ = ["Workers", "explain", "processes_for"]

_COUNT = 2  # converters are single-threaded for most of their time; each worker holds TensorFlow
_LARGE = 64_000_000  # bytes: converters hold up to twenty copies of the weights, two of them 4 GB


def processes_for(size: int) -> int:
    """How many processes may work at the same time on a network of `size` bytes, to stay below 4 GB."""
    return 1 if size > _LARGE else _COUNT


class Workers:
    """A pool of `count` processes, started when the first task comes. State: close it, or use `with`.

    One alone, which is for large networks, is a new one for every task: TensorFlow's allocator gives
    nothing back as long as it lives.
    """

    def __init__(self, log: Path, count: int = _COUNT) -> None:
        log.touch()
        self._log, self._count = log, count
        self._pool: Any = None

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run a module-level function elsewhere."""
        if self._pool is None:
            from pebble import ProcessPool

            self._pool = ProcessPool(
                max_workers=self._count,
                max_tasks=1 if self._count == 1 else 0,  # no end
                initializer=_prepare,
                context=_Context(self._log),
            )
        future: Future[Any] = self._pool.schedule(_run, args=(function, *arguments))
        return future

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            # Idle workers end by themselves and clean up; busy ones are not waited for after an error.
            self._pool.close() if error is None else self._pool.stop()
            self._pool.join()


def explain(error: BaseException, doing: str, hint: str = "See build.log.") -> MlcError:
    """An error of a task as one sentence; errors that are ours already pass through.

    A full disk is raised: it spoils everything, not one task.
    """
    from pebble import ProcessExpired

    if isinstance(error, MlcError):
        return error
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        raise error
    if isinstance(error, ProcessExpired):
        code = error.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return MlcError(f"The process crashed while {doing} ({how}).", hint)
    return MlcError(f"{type(error).__name__} while {doing}: {first_line(error, 300)}", hint)


def _prepare() -> None:
    """Make a fresh process a quiet worker, with TensorFlow loaded: every task needs it.

    Its million objects stay to the end, so that looking through them for garbage is time lost: a fifth of
    the import, and more later.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    gc.disable()
    with absent("jax", "sklearn", "pandas"):  # a third of its start-up time
        import tensorflow  # noqa: F401
    gc.freeze()
    gc.enable()


def _run(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it, and give back to the system what it took: the next task may run beside another's peak.

    Graphs of TensorFlow and of the converters are in cycles, and the C library keeps what is freed.
    """
    try:
        return function(*arguments)
    finally:
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Spawned processes run the caller's main script again, unless they cannot find it.

    Our tasks live in mlc, so that a user's script needs no `if __name__ == "__main__"`.
    """
    main = sys.modules["__main__"]
    hidden = {n: getattr(main, n) for n in ("__file__", "__spec__") if hasattr(main, n)}
    main.__spec__ = None
    if hasattr(main, "__file__"):
        del main.__file__
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)


@contextlib.contextmanager
def _without_signals() -> Iterator[None]:
    """Ctrl-C goes to the whole process group: block it in a new process from its first moment."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _writing_to(log: str) -> Iterator[None]:
    """Let a new process write to `log` before it does anything else that could complain."""
    command_line = spawn.get_command_line

    def with_log(**options: Any) -> list[str]:
        *start, flag, code, end = command_line(**options)
        return [*start, flag, _WRITE_TO_LOG.format(log=log) + code, end]

    spawn.get_command_line = with_log
    try:
        yield
    finally:
        spawn.get_command_line = command_line


# The build may be over, its folder and log gone, before the process is up.
_WRITE_TO_LOG = """
import os
try:
    log = os.open({log!r}, os.O_WRONLY | os.O_APPEND)
except OSError:
    log = os.open(os.devnull, os.O_WRONLY)
os.dup2(log, 1)
os.dup2(log, 2)
"""


class _Process(SpawnProcess):
    log = os.devnull

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802  # the name that multiprocessing calls
        with _without_main(), _without_signals(), _writing_to(process_obj.log):
            return SpawnProcess._Popen(process_obj)


class _Context(SpawnContext):
    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log

    def Process(self, *arguments: Any, **options: Any) -> _Process:  # type: ignore[override]  # noqa: N802
        process = _Process(*arguments, **options)
        process.log = str(self._log)
        return process
