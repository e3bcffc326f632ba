"""Ops that are known to fail in float16 on devices although every value that the program declares fits.

Inside of an op a device may compute an exponential, a square or a sum that does not fit. The evaluator,
which computes inside of an op in float32, cannot see it; what it sees is how large the operand gets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["FRAGILE", "HALF_MAX", "Fragile"]

HALF_MAX = 65504.0  # the largest finite float16


@dataclass(frozen=True)
class Fragile:
    """An op that is at risk once its operand `x` exceeds `limit(n)`.

    `measure` says what of x counts: its highest element, or its largest magnitude. `n` is how many
    elements of x make one of the result.
    """

    measure: Literal["highest", "largest"]
    limit: Callable[[float], float]
    why: str
    only: tuple[str, str] | None = None  # a parameter of the op and the value that it must have


def _square_sum(n: float) -> float:
    return math.sqrt(HALF_MAX / n)


_SQUARES = "the squares of its elements add up beyond 65504 inside of it"
_DEVIATIONS = "squares of deviations from the mean exceed 65504 inside of it"

FRAGILE: dict[str, Fragile] = {
    # Observed on the Neural Engine: apple/coremltools, issues 2687 and 2747.
    "softplus": Fragile(
        "highest", lambda n: 10.4, "the Neural Engine was seen to return 0 beyond x = 10.4"
    ),
    # Issue 2690 there: no shift by the maximum before the exponential.
    "reduce_log_sum_exp": Fragile(
        "highest",
        lambda n: math.log(HALF_MAX / n),
        "the Neural Engine was seen to return 0 once the sum of exponentials exceeds 65504",
    ),
    # By arithmetic: what the op's formula makes of such an operand does not fit.
    "gelu": Fragile(
        "largest",
        lambda n: HALF_MAX ** (1 / 3),
        "the cube inside of it exceeds 65504",
        only=("mode", "TANH_APPROXIMATION"),
    ),
    "instance_norm": Fragile("largest", lambda n: math.sqrt(HALF_MAX), _DEVIATIONS),
    "layer_norm": Fragile("largest", lambda n: math.sqrt(HALF_MAX), _DEVIATIONS),
    "l2_norm": Fragile("largest", lambda n: math.sqrt(HALF_MAX), _SQUARES),
    "l2_pool": Fragile("largest", lambda n: math.sqrt(HALF_MAX), _SQUARES),
    "reduce_l2_norm": Fragile("largest", _square_sum, _SQUARES),
}
