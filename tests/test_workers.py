"""Worker processes: what happens there stays there, crashes and chatter included."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mlc.errors import Exit, MlcError, SourceError, UnsupportedError
from mlc.workers import Workers, _run, explain, processes_for

LOG: list[Path] = []


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    log = tmp_path_factory.mktemp("workers") / "build.log"
    with Workers(log) as workers:
        LOG.append(log)
        yield workers


def chatter() -> str:
    print("printed by Python", flush=True)
    print("complained by Python", file=sys.stderr, flush=True)
    os.write(1, b"printed by C\n")
    return "tensorflow" if "tensorflow" in sys.modules else "nothing"


def test_chatter_goes_to_the_log(workers: Workers, capfd: pytest.CaptureFixture[str]) -> None:
    assert workers.submit(chatter).result() == "tensorflow", "loaded before the first task"
    text = LOG[0].read_text()
    for line in ("printed by Python", "complained by Python", "printed by C"):
        assert line in text
    assert capfd.readouterr() == ("", "")


def refuse() -> None:
    raise UnsupportedError("TFLite has no op Foo.", "Leave it out.")


def divide() -> float:
    return 1 / 0


def die() -> None:
    os._exit(7)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def fill_the_disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_our_own_errors_arrive_whole(workers: Workers) -> None:
    error = workers.submit(refuse).exception()
    assert isinstance(error, UnsupportedError)
    assert (error.message, error.hint) == ("TFLite has no op Foo.", "Leave it out.")
    assert explain(error, "emitting TFLite") is error


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (die, "The process crashed while converting (exit code 7)."),
        (crash, "The process crashed while converting (signal SIGSEGV)."),
        (divide, "ZeroDivisionError while converting: division by zero"),
    ],
)
def test_a_crash_costs_one_task(workers: Workers, task: object, says: str) -> None:
    error = workers.submit(task).exception()  # type: ignore[arg-type]
    assert error is not None
    told = explain(error, "converting")
    assert (told.message, told.hint) == (says, "See build.log.")
    assert workers.submit(chatter).result() == "tensorflow", "the next one is not harmed"


def test_ctrl_c_is_not_the_workers_business(workers: Workers) -> None:
    handlers = workers.submit(signal.getsignal, signal.SIGINT)
    assert handlers.result() == signal.SIG_IGN


def test_a_full_disk_is_not_a_matter_of_one_task(workers: Workers) -> None:
    error = workers.submit(fill_the_disk).exception()
    assert error is not None
    with pytest.raises(OSError, match="No space left"):
        explain(error, "emitting")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("first\nsecond", "first"),
        ("\n\n  later  \n", "later"),
        ("", "no message"),
        ("x" * 999, "x" * 299 + "…"),
    ],
)
def test_long_messages_become_one_line(text: str, says: str) -> None:
    told = explain(ValueError(text), "reading", "A hint.")
    assert str(told) == f"ValueError while reading: {says} A hint."


def test_without_a_task_no_process_is_started(tmp_path: Path) -> None:
    with Workers(tmp_path / "log") as workers:
        assert workers._pool is None


@pytest.mark.parametrize(
    ("error", "code"), [(SourceError("a", "b"), Exit.INPUT), (MlcError("a"), Exit.FAILED)]
)
def test_errors_keep_their_exit_code(error: MlcError, code: Exit) -> None:
    assert explain(error, "reading").exit_code == code


def test_a_large_network_goes_one_stage_at_a_time() -> None:
    assert [processes_for(size) for size in (0, 14_000_000, 102_000_000)] == [2, 2, 1]


def test_a_process_alone_is_a_new_one_for_every_task(tmp_path: Path) -> None:
    with Workers(tmp_path / "log", count=1) as alone:
        first, second = (alone.submit(os.getpid).result() for _ in range(2))
    assert first != second


def hoard() -> int:
    """200 MB that only the collector finds; returns how much the process holds."""
    hoarded: list[object] = [bytes(1000) for _ in range(200_000)]
    hoarded.append(hoarded)
    return int(psutil.Process().memory_info().rss)


@pytest.mark.skipif(sys.platform != "linux", reason="malloc_trim is of glibc")
def test_what_a_task_took_is_given_back() -> None:
    _run(int)  # what other tests have left would be used first, and hide what is taken here
    before = psutil.Process().memory_info().rss
    assert _run(hoard) - before > 150e6
    assert psutil.Process().memory_info().rss - before < 50e6
