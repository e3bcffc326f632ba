"""Keep coremltools' progress bars, log lines and warnings out of the user's terminal."""

from __future__ import annotations

import functools
import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlc.absent import absent

__all__ = ["quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Load coremltools, silence it for one call, and leave the process as it was found.

    It has no option for its tqdm bars, so the class itself is told for the while. Three quarters of its
    import is scikit-learn, whose models it then says it does not support in that version.
    """
    progress: Any = importlib.import_module("tqdm.std").tqdm
    logger = logging.getLogger("coremltools")
    level, bar = logger.level, progress.__init__
    logger.setLevel(logging.CRITICAL)
    progress.__init__ = functools.partialmethod(bar, disable=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with absent("sklearn"):
                import coremltools  # noqa: F401
            yield
    finally:
        progress.__init__ = bar
        logger.setLevel(level)
