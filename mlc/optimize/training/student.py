"""A network about to be trained: what one phase of compression makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mlc.convert.graph import Body
from mlc.convert.network import Network
from mlc.optimize.plan import Plan
from mlc.optimize.training.clustered import Clustered
from mlc.optimize.training.examples import Examples
from mlc.optimize.training.masked import Masked
from mlc.optimize.training.thaw import Free, Parameter, biases, kernels

__all__ = ["Keep", "Phase", "Student"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Keep:
    """What an earlier phase has made of the weights, and this one must not undo."""

    zeros: bool = False
    values: int = 0  # weights of at most so many different values stay so

    def parameter(self, values: Array, axes: Sequence[int] = ()) -> Parameter:
        """A constant with all the freedom that is left to it."""
        if self.values and len(np.unique(values)) <= min(self.values, values.size // 2):
            return Clustered(values, keep_zeros=self.zeros)
        if self.zeros and not values.all():
            return Masked(values, (values != 0).astype(np.float32), axes)
        return Free(values, axes)

    def parameters(self, body: Body) -> dict[str, Parameter]:
        """All that can be trained in a graph: weights of linear ops, and biases, which are free."""
        found: dict[str, Parameter] = {
            name: self.parameter(body.constant_value(name), op.output_axes)
            for name, op in kernels(body).items()
        }
        free: dict[str, Parameter] = {name: Free(values) for name, values in biases(body).items()}
        return free | found


@dataclass(frozen=True)
class Student:
    """`parameters` stand for constants of `network`, compressed but not trained.

    `run_as` is what is run in training where that is not the network itself: the same constants, with
    rounding simulated. `planned` then makes the plan of the trained network out of it and the values that
    all parameters have in the end. `before_step` and `finished` are those of `Course`.
    """

    network: Network
    parameters: Mapping[str, Parameter]
    run_as: Network | None = None
    planned: Callable[[Network, Mapping[str, Array]], Plan] | None = None
    before_step: Callable[[float], None] = lambda share: None
    finished: Callable[[], bool] = lambda: True
    notes: tuple[str, ...] = ()


class Phase(Protocol):
    """One way to compress. Frozen data with an exact repr: results are remembered by it."""

    @property
    def title(self) -> str:
        """What is done, for progress and report: `prune to 50 %`."""

    @property
    def learning_rate(self) -> float:
        """Of Adam, at the start."""

    @property
    def labels(self) -> float:
        """Weight of labels in the loss, where there are any."""

    def begin(self, network: Network, examples: Examples) -> Student:
        """Compress, without training. Raises `UsageError` where there is nothing to compress."""
