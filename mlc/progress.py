"""How far a long stage is: it writes into its folder, whoever waits for it looks there."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Advance", "forget", "look", "tell"]

_FILE = "progress.json"


@dataclass(frozen=True)
class Advance:
    """`share` of the work that is done, 0..1, and the news in a few words."""

    share: float
    news: str


def tell(folder: Path, advance: Advance) -> None:
    """Called by the stage, in its own process."""
    aside = folder / f"{_FILE}.new"
    aside.write_text(json.dumps(asdict(advance)))
    os.replace(aside, folder / _FILE)


def look(folder: Path) -> Advance | None:
    """What the stage told last; None where it told nothing."""
    try:
        return Advance(**json.loads((folder / _FILE).read_text()))
    except FileNotFoundError:
        return None


def forget(folder: Path) -> None:
    """Progress is no part of a stage's result."""
    with suppress(FileNotFoundError):
        (folder / _FILE).unlink()
