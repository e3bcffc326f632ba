"""A Relu6 that never clips at 6 → Relu, which leaves channels free to be scaled."""

from __future__ import annotations

from collections.abc import Mapping

from mlc.convert.graph import Program

__all__ = ["relu6_to_relu"]


def relu6_to_relu(program: Program, largest: Mapping[str, float]) -> None:
    """Drop the upper bound of every Relu6 that stayed below it on all calibration samples.

    ::

        Before:  x ─► Relu6 ─► y      (largest[y] < 6 on the samples)

        After:   x ─► Relu ─► y

    `largest` is the greatest value of each node as calibrated. On inputs unlike the samples the two may
    differ, so what comes of it is compared with the original like everything else. Requires: nothing.
    """
    for body in program.bodies():
        for node in body.find("Relu6"):
            if largest.get(node.name, 6.0) < 6.0:
                node.op = "Relu"
