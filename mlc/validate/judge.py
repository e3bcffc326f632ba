"""From what was measured to passed, failed or not verified."""

from __future__ import annotations

from mlc.optimize.recipe import Precision
from mlc.validate.compare import Comparison
from mlc.validate.evidence import Check

__all__ = ["judge"]

# float32 converters reorder sums; more than this share of the output's span is a defect, not rounding.
FLOAT32_TOLERANCE = 1e-4

# A rounding to float16 is 66 dB below what is rounded. Hundreds of them leave 30 to 73 dB of the networks
# measured (docs/coreml_zoo.md): what is clearly below that was not lost by rounding.
FLOAT16_SQNR_DB = 25.0

# Below these a compressed artifact has collapsed. What a healthy one may lose is the user's to say
# (--min-agreement, --max-accuracy-drop): these only stop what nobody can have meant.
COLLAPSED_SQNR_DB = 6.0
COLLAPSED_AGREEMENT = 0.6

# A reference whose outputs change by less than this share over the inputs cannot tell a right artifact
# from a wrong one: a freshly initialised network answers the same to everything.
LEAST_VARIATION = 1e-3


def judge(
    comparison: Comparison, weights: Precision, activations: Precision, trained: bool = False
) -> tuple[Check, ...]:
    """The checks that every artifact undergoes, whatever limits the user set.

    Where the network was `trained` before it was written, no precision promises the original's outputs.
    """
    if not comparison.finite:
        return (Check("finite", "failed", "the artifact yields NaN or infinity"),)
    if comparison.variation < LEAST_VARIATION:
        return (
            Check(
                "parity",
                "not verified",
                "the network's own outputs hardly vary over these inputs "
                f"(by {comparison.variation:.1e} of their size), so equal outputs prove nothing; "
                "give real data with --data, or trained weights",
            ),
        )
    finite = Check("finite", "passed", "all outputs are finite")
    if trained:
        return (finite, _compressed(comparison, COLLAPSED_SQNR_DB))
    if weights == activations == "float32":
        return (finite, _float32(comparison))
    return (finite, _compressed(comparison, least_sqnr(weights, activations)))


def least_sqnr(weights: Precision, activations: Precision) -> float:
    """The signal to noise ratio in dB that an artifact of these precisions must have at least."""
    rounded = {weights, activations} <= {"float32", "float16"}
    return FLOAT16_SQNR_DB if rounded else COLLAPSED_SQNR_DB


def _float32(comparison: Comparison) -> Check:
    worst = comparison.parity.worst
    within = worst.max_relative <= FLOAT32_TOLERANCE
    return Check(
        "parity",
        "passed" if within else "failed",
        f"output {worst.name!r} is off by {worst.max_relative:.1e} of its span; "
        f"float32 must be within {FLOAT32_TOLERANCE:.0e}",
    )


def _compressed(comparison: Comparison, least: float) -> Check:
    parity = comparison.parity
    sqnr = min((o.sqnr_db for o in parity.outputs if o.sqnr_db is not None), default=None)
    agreement = parity.agreement
    collapsed = (sqnr is not None and sqnr < least) or (
        agreement is not None and agreement < COLLAPSED_AGREEMENT
    )
    shown = "equal to the last bit" if sqnr is None else f"SQNR {sqnr:.1f} dB"
    if agreement is not None:
        shown += f", agreement {agreement:.1%}"
    return Check(
        "parity",
        "failed" if collapsed else "passed",
        f"{shown}; below {least:.0f} dB or {COLLAPSED_AGREEMENT:.0%} "
        + ("it counts as collapsed" if least == COLLAPSED_SQNR_DB else "it is more than rounding"),
    )
