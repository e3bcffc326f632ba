"""Magnitude pruning: the least weights become zero, more and more of them, while the others learn."""

from __future__ import annotations

from dataclasses import dataclass

from mlc.convert.graph import Body, Program
from mlc.convert.network import Network
from mlc.errors import UsageError
from mlc.optimize.decide import FEWEST
from mlc.optimize.passes.linear import Linear
from mlc.optimize.training.examples import Examples
from mlc.optimize.training.masked import Masked, Sparsity
from mlc.optimize.training.student import Keep, Student
from mlc.optimize.training.thaw import kernels

__all__ = ["Prune"]

_GROWING = 0.6  # the part of all steps in which zeros are added; what is left heals


@dataclass(frozen=True)
class Prune:
    """Set a share of each weight to zero, or some of every group along its input channels.

    Not depthwise weights, nor those too small to matter: both save little and cost much (Zhu & Gupta
    2017, section 4).
    """

    sparsity: Sparsity

    @property
    def title(self) -> str:
        """With the share of zeros, or 2:4."""
        share = f"{100 * self.sparsity.share:g} %"
        return f"prune to {self.sparsity if self.sparsity.group else share}"

    @property
    def learning_rate(self) -> float:
        """Of Adam, at the start."""
        return 5e-3

    @property
    def labels(self) -> float:
        """Weight in the loss."""
        return 0.1

    def begin(self, network: Network, examples: Examples) -> Student:
        """All zeros at once: the start that training is measured against. Then again from none."""
        body = Program.of(network).main
        parameters = Keep().parameters(body)
        masked: list[tuple[Masked, int]] = []
        for op in self._pruned(body):
            values = body.constant_value(op.kernel)
            mask = self.sparsity.mask(values, op.input_axis)
            parameter = Masked(values, mask, op.output_axes)
            parameters[op.kernel] = parameter
            masked.append((parameter, op.input_axis))
        if not masked:
            raise UsageError(
                f"Nothing can be pruned to {self.sparsity}: no weight of a convolution or matrix product "
                f"has {FEWEST:,} elements" + (" in such groups." if self.sparsity.group else "."),
                "Build without --prune.",
            )
        progress = 1.0

        def before_step(share: float) -> None:
            nonlocal progress
            if share == 0:
                for parameter, _ in masked:
                    parameter.restart()
            now = min(share / _GROWING, 1.0)
            if now < 1 or progress < 1:
                for parameter, axis in masked:
                    parameter.prune(self.sparsity, axis, now)
            progress = now

        return Student(network, parameters, before_step=before_step, finished=lambda: progress == 1)

    def _pruned(self, body: Body) -> list[Linear]:
        return [
            op
            for op in kernels(body).values()
            if not op.depthwise
            and (values := body.constant_value(op.kernel)).size >= FEWEST
            and self.sparsity.fits(values, op.input_axis)
        ]
