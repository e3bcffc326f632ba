"""What the user asked training for, as the list of its phases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mlc.errors import UsageError
from mlc.optimize.palette import PRUNED
from mlc.optimize.ranges import Estimator
from mlc.optimize.recipe import Recipe
from mlc.optimize.training.cluster import Cluster
from mlc.optimize.training.masked import read_sparsity
from mlc.optimize.training.prune import Prune
from mlc.optimize.training.prune_channels import PruneChannels
from mlc.optimize.training.quantize import Quantize
from mlc.optimize.training.student import Keep, Phase

__all__ = ["Training"]


@dataclass(frozen=True)
class Training:
    """Flags of the same names; all off by default. `epochs` are those of each phase."""

    prune: float | str | None = None
    prune_channels: float | None = None
    cluster: int | None = None
    qat: bool = False
    epochs: int = 10
    train_data: str | None = None  # default: --data
    train_samples: int = 10_000

    def __post_init__(self) -> None:
        """Raise `UsageError` for values out of range."""
        if self.prune is not None:
            read_sparsity(str(self.prune))
        if self.prune_channels is not None and not 0 < self.prune_channels < 1:
            raise UsageError(
                f"The share of channels is {self.prune_channels}.", "Give one such as 0.25 or 0.5."
            )
        if self.cluster is not None and not 2 <= self.cluster <= 256:
            raise UsageError(f"The clusters are {self.cluster}.", "Give a number from 2 to 256.")
        if self.epochs < 0 or self.train_samples < 1:
            raise UsageError(
                f"{self.epochs} epochs on {self.train_samples} samples are no training.",
                "Give 0 or more epochs, and 1 or more samples.",
            )

    @property
    def asked(self) -> bool:
        """Whether anything is trained."""
        return bool(self.prune is not None or self.prune_channels or self.cluster or self.qat)

    def phases(self, recipe: Recipe, estimator: Estimator, samples: int) -> tuple[Phase, ...]:
        """What is done one after another: what comes later keeps what came before.

        Rounding is learned last, with zeros and clusters as they are. Raises `UsageError` where the
        recipe gives `--qat` nothing to round to, or undoes what `--prune` or `--cluster` does.
        """
        found: list[Phase] = []
        zeros = self.prune is not None
        if self.prune_channels:
            found.append(PruneChannels(self.prune_channels))
        if self.prune is not None:
            sparsity = read_sparsity(str(self.prune))
            few = self.cluster and self.cluster <= 2**recipe.weight_bits
            if recipe.palettized and sparsity.share < PRUNED and not few:
                raise UsageError(
                    f"With {recipe.name}, zeros stay zeros only where they are half of a weight or more.",
                    f"Prune at least {PRUNED}, or add --cluster {2**recipe.weight_bits}.",
                )
            found.append(Prune(sparsity))
        if self.cluster:
            if recipe.weights.startswith("int") and recipe.per_channel:
                raise UsageError(
                    f"With {recipe.name}, every channel has a scale of its own: weights of "
                    f"{self.cluster} values would become more.",
                    "Cluster with fp32 or fp16, or a recipe with one scale for all channels.",
                )
            found.append(Cluster(self.cluster, Keep(zeros)))
        if self.qat:
            if recipe.palettized or not recipe.weights.startswith("int"):
                raise UsageError(
                    f"--qat trains for integers, but the recipe is {recipe.name}.",
                    "Add --int8, or --recipe w4, w8a16, ...; for a palette, use --cluster.",
                )
            keep = Keep(zeros, self.cluster or 0)
            found.append(Quantize(recipe, estimator, samples, keep))
        return tuple(found)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Training:
        """From settings by name; raises `UsageError` for values out of range."""
        return cls(**{f.name: settings[f.name] for f in fields(cls) if f.name in settings})
