"""The error family and the exit codes.

Every error a user can cause is an `MlcError`: one sentence that says what is wrong and where, a
`hint` that says what to do, and the exit code of the command that meets it.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the process returns. Documented in README.md; never renumbered."""

    OK = 0
    FAILED = 1  # an artifact is wrong, or a target could not be emitted
    USAGE = 2  # a flag or mlc.toml is wrong
    GATE = 3  # everything works, but a limit that the user set is broken
    INPUT = 4  # the source, the artifact or the data cannot be used
    ENVIRONMENT = 5  # disk full, output not writable, a tool is missing
    INTERRUPTED = 130


class MlcError(Exception):
    """An error with a remedy. Pickles by its arguments, so that it crosses process borders."""

    exit_code = Exit.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(MlcError):
    """A flag or a line of mlc.toml is wrong."""

    exit_code = Exit.USAGE


class SourceError(MlcError):
    """The source or artifact cannot be read for what it claims to be."""

    exit_code = Exit.INPUT


class UntrustedError(SourceError):
    """The source holds code that would run on loading or executing it."""


class DataError(MlcError):
    """The data do not fit the network, or cannot be read."""

    exit_code = Exit.INPUT


class MachineError(MlcError):
    """The machine lacks something: disk, a permission, a tool."""

    exit_code = Exit.ENVIRONMENT


class TrainingStopped(MlcError):  # noqa: N818 - it is no error of anybody
    """Ctrl-C while training: nothing is written, and nothing lost but an epoch that was not over."""

    exit_code = Exit.INTERRUPTED


class UnsupportedError(MlcError):
    """A format cannot hold this network. Costs that one target, never the build."""


class UnverifiableError(MlcError):
    """An artifact cannot be executed here. The report says *not verified* and this reason."""


def first_line(error: BaseException, most: int = 200) -> str:
    """What an error says, cut to one line of at most `most` characters."""
    line = next((s.strip() for s in str(error).splitlines() if s.strip()), "no message")
    return line if len(line) <= most else line[: most - 1] + "…"
