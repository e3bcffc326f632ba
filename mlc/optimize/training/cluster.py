"""Weight clustering: few different values in each weight, which files and palettes hold in few bits."""

from __future__ import annotations

from dataclasses import dataclass, field

from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.errors import UsageError
from mlc.optimize.decide import FEWEST
from mlc.optimize.training.clustered import Clustered, cluster
from mlc.optimize.training.examples import Examples
from mlc.optimize.training.student import Keep, Student
from mlc.optimize.training.thaw import kernels

__all__ = ["Cluster"]


@dataclass(frozen=True)
class Cluster:
    """At most `count` different values in each weight of a linear op that is large enough to matter.

    Those are the weights that `--palettize` makes tables of: what is clustered to 2^bits values loses
    nothing more there.
    """

    count: int
    keep: Keep = field(default_factory=Keep)

    @property
    def title(self) -> str:
        """With the number of values."""
        return f"cluster to {self.count} values"

    @property
    def learning_rate(self) -> float:
        """Of Adam, at the start."""
        return 1e-3

    @property
    def labels(self) -> float:
        """Weight in the loss."""
        return 0.1

    def begin(self, network: Network, examples: Examples) -> Student:
        """The nearest of the centroids that k-means finds; those are trained."""
        body = Program.of(network).main
        parameters = self.keep.parameters(body)
        values = {name: body.constant_value(name) for name in kernels(body)}
        large = {name: array for name, array in values.items() if array.size >= FEWEST}
        if not large:
            raise UsageError(
                "Nothing can be clustered: no weight of a convolution or matrix product has "
                f"{FEWEST:,} elements.",
                "Build without --cluster.",
            )
        for name, array in large.items():
            found = cluster(array, self.count, self.keep.zeros)
            parameters[name] = Clustered(found, self.keep.zeros)
        return Student(network, parameters)
