"""The converter's error, which is pages long → one sentence."""

from __future__ import annotations

import re

from mlc.errors import UnsupportedError

__all__ = ["refusal"]

_NAMES_AN_OP = (
    r"'tf\.(\w+)' op is neither a custom op nor a flex op",
    r"failed to legalize operation 'tf\.(\w+)'",
    r"'tf\.(\w+)' op requires element_shape to be static",
    r"Quantization not yet supported for op: '(\w+)'",
)


def refusal(message: str) -> UnsupportedError:
    """Name the operations that TFLite lacks, and what may help against it."""
    ops = sorted({op for pattern in _NAMES_AN_OP for op in re.findall(pattern, message)})
    if any(op.startswith("TensorList") for op in ops):
        return UnsupportedError(
            "TFLite cannot hold a recurrent layer whose batch or time dimension is open.",
            "Fix both: --batch 1, and --input-shape NAME=DIMS for the time steps.",
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
