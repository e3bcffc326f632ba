"""One room per format. A new target is a new room and one line here."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from mlc.errors import SourceError, UsageError
from mlc.targets.target import Arrays, Examining, Finding, Native, Runtime, Target

__all__ = ["NAMES", "examine", "native", "parse", "recognise", "target", "title"]

_TITLES = {"coreml": "Core ML", "tflite": "TFLite", "onnx": "ONNX", "tfjs": "TF.js"}
NAMES = tuple(_TITLES)


def target(name: str) -> Target:
    """The room of that name, imported on first use."""
    return cast(Target, importlib.import_module(f"mlc.targets.{name}"))


def examine(name: str, path: Path, samples: Sequence[Arrays]) -> tuple[Finding, ...]:
    """What the room finds in its artifact besides its answers; most have nothing to look for."""
    room = target(name)
    return room.examine(path, samples) if isinstance(room, Examining) else ()


def native(name: str, path: Path) -> Runtime | None:
    """The format's own runtime, where `open` gives another and this host has it (Core ML on a Mac)."""
    room = target(name)
    return room.native(path) if isinstance(room, Native) else None


def title(name: str) -> str:
    """The name people know: `Core ML`."""
    return _TITLES[name]


def parse(names: str) -> tuple[str, ...]:
    """`coreml,tflite` or `all` → names in the order of the registry, each once."""
    asked = {n.strip() for n in names.split(",") if n.strip()}
    if not asked:
        raise UsageError(
            "No target was named.", f"Use --targets all, or some of {','.join(NAMES)}."
        )
    unknown = asked - {*NAMES, "all"}
    if unknown:
        raise UsageError(
            f"There is no target {sorted(unknown)[0]!r}.", f"Known are {', '.join(NAMES)}, and all."
        )
    return tuple(n for n in NAMES if n in asked or "all" in asked)


def recognise(path: Path) -> str:
    """The name of the target whose artifact this is; raises `SourceError` if nobody knows it."""
    for name in NAMES:
        if target(name).recognises(path):
            return name
    raise SourceError(
        f"{path} is none of the formats that mlc knows.",
        "Give a .mlpackage, .tflite, .onnx or a TF.js folder (model.json).",
    )
