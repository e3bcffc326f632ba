"""Leave out of tf2onnx's work what only serves its developers: a third of the time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["lean"]

_SWITCH = "TF2ONNX_CATCH_ERRORS"


@contextmanager
def lean() -> Iterator[None]:
    """tf2onnx copies the whole graph, weights included, before each of two dozen optimizations, to have
    it back where one of them fails. Inside this block such a failure is raised instead.
    """
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "FALSE"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before
