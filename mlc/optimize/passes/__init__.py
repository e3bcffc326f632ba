"""Network → network: one pass per file, each the same function of the inputs, written with fewer ops."""

from __future__ import annotations

from collections.abc import Callable

from mlc.convert.graph import Program
from mlc.optimize.passes.fold_batch_norm import fold_batch_norm
from mlc.optimize.passes.fold_constants import fold_constants
from mlc.optimize.passes.fold_input_scale import fold_input_scale
from mlc.optimize.passes.fuse_activations import fuse_activations
from mlc.optimize.passes.global_pool_to_mean import global_pool_to_mean
from mlc.optimize.passes.mean_by_rows import mean_by_rows
from mlc.optimize.passes.remove_identities import remove_identities

__all__ = ["PIPELINE", "Pass"]

Pass = Callable[[Program], None]

PIPELINE: tuple[Pass, ...] = (
    # First what hides the others' patterns.
    fold_constants,
    remove_identities,
    # Then fewer linear steps: those behind a linear op first, for what is in front of one may be what
    # is behind another.
    fold_batch_norm,
    fold_input_scale,
    fuse_activations,
    # Last what only rounding sees.
    global_pool_to_mean,
    mean_by_rows,
)
