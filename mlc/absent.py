"""Packages that seem not to be installed, while another is imported that tries whether they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["absent"]


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """Let imports of these packages fail, unless they are loaded already.

    Large packages load others for bridges that nobody here walks, and do without them where they are
    missing. Afterwards all can be imported as usual.
    """
    hidden = {name: None for name in names if name not in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type]  # None makes an import fail
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
