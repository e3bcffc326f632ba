"""The weights of a package as they are computed with: every compression undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mlc.targets.coreml.evaluator.program import Value, load

__all__ = ["decoded", "stored"]

Array = np.ndarray[Any, np.dtype[Any]]

# What coremltools, and mlc, append to the name of a constant when they compress it.
_SUFFIXES = (
    "_compressed",
    "_affine_quantized",
    "_quantized",
    "_palettized",
    "_sparsified",
    "_sparse",
    "_pruned",
    "_depalettized",
    "_dequantized",
    "_densified",
)


def stored(path: Path | str, least: int = 1) -> dict[str, Array]:
    """The float32 value of each weight of at least `least` elements, by its name in the package.

    A weight is a float constant, or a compressed constant, that an op computes with.
    """
    found: dict[str, Array] = {}
    for op in load(Path(path)).block.walk():
        if op.kind.startswith("constexpr_"):
            continue  # its inputs are parts of a weight, not weights
        for values in op.parameters.values():
            for value in values:
                if value.name not in found and _is_weight(value, least):
                    found[value.name] = np.asarray(value.constant, np.float32)
    return found


def decoded(path: Path | str) -> dict[str, Array]:
    """The weights of at least 10 elements by the names that they have in the uncompressed package.

    What coremltools appends when it compresses is taken off again, so that two packages of one network
    can be compared weight by weight.
    """
    found = stored(path, least=10)
    return {_unless_taken(name, found): array for name, array in found.items()}


def _is_weight(value: Value, least: int) -> bool:
    if not value.is_constant or not value.type.is_float or value.type.container != "tensor":
        return False
    sizes = [d for d in value.type.shape if d is not None]
    return int(np.prod(sizes, dtype=np.int64)) >= least


def _unless_taken(name: str, taken: dict[str, Array]) -> str:
    shorter = name
    while suffix := next((s for s in _SUFFIXES if shorter.endswith(s)), ""):
        shorter = shorter.removesuffix(suffix)
    return name if shorter in taken else shorter
