"""The converter's error, which is pages long → one sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mlc.convert.network import TensorSpec
from mlc.errors import UnsupportedError

__all__ = ["refusal"]

_NAMES_AN_OP = (
    r"'tf\.(\w+)' op is neither a custom op nor a flex op",
    r"failed to legalize operation 'tf\.(\w+)'",
    r"'tf\.(\w+)' op requires element_shape to be static",
    r"Quantization not yet supported for op: '(\w+)'",
)


def refusal(message: str, inputs: Sequence[TensorSpec]) -> UnsupportedError:
    """Name the operations that TFLite lacks, and what may help a network of such `inputs` against it."""
    ops = sorted({op for pattern in _NAMES_AN_OP for op in re.findall(pattern, message)})
    if any(op.startswith("TensorList") for op in ops):
        return UnsupportedError(
            "TFLite cannot hold a loop over tensors of open size, such as a recurrent layer whose "
            "batch or number of steps is open.",
            _fixing(inputs),
        )
    if ops:
        return UnsupportedError(
            f"TFLite has no operation for {', '.join(ops)} (with these types of tensors).",
            "Replace the layers that use it, or leave this target out.",
        )
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    first = next((line for line in lines if "error:" in line), lines[0] if lines else "no reason")
    return UnsupportedError(
        f"The TFLite converter refused the network: {first.split('error:')[-1].strip()[:200]}"
    )


def _fixing(inputs: Sequence[TensorSpec]) -> str:
    """Flags that fix what the inputs leave open; N stands for a size that only the user knows."""
    if all(None not in spec.shape for spec in inputs):
        return "Its sizes depend on the data: leave this target out."
    flags = []
    for spec in inputs:
        if None in spec.shape[1:]:
            dims = ("N" if d is None else str(d) for d in (spec.shape[0] or 1, *spec.shape[1:]))
            flags.append(f"--input-shape {spec.name}={'x'.join(dims)}")
    return f"Fix it with {' '.join(flags) or '--batch 1'}."
