"""Keep coremltools' progress bars, log lines and warnings out of the user's terminal."""

from __future__ import annotations

import functools
import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence coremltools for one call, and leave the process as it was found.

    coremltools has no option for its tqdm bars, so the class itself is told for the while.
    """
    progress: Any = importlib.import_module("tqdm.std").tqdm
    logger = logging.getLogger("coremltools")
    level, bar = logger.level, progress.__init__
    logger.setLevel(logging.CRITICAL)
    progress.__init__ = functools.partialmethod(bar, disable=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        progress.__init__ = bar
        logger.setLevel(level)
