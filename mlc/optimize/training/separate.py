"""Whether a graph computes each sample by itself, so that many can be given to it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mlc.convert.execute import function
from mlc.convert.network import Network
from mlc.data.dataset import Sample, stack
from mlc.data.synthesized import synthesize

__all__ = ["separates"]

Array = np.ndarray[Any, np.dtype[Any]]

_SAMPLES = 3
_TOLERANCE = (
    1e-4  # of the largest value: other kernels add in another order, other samples are far off
)


def separates(network: Network, references: Sequence[str]) -> bool:
    """Give the network three samples together, and compare with what it says of each alone.

    The graph is fixed to its batch: reshapes and states of loops were computed for it. Whether they hold
    for more samples is asked of the graph, not guessed from its ops: every one of `references` must come
    out the same, its first axis that of the samples. False for a batch of several.
    """
    import tensorflow as tf

    if any(not spec.shape or spec.shape[0] not in (1, None) for spec in network.inputs):
        return False
    wider = network.described(
        inputs=tuple(replace(spec, shape=(_SAMPLES, *spec.shape[1:])) for spec in network.inputs)
    )
    samples = list(synthesize(network, _SAMPLES).samples())
    try:
        together = _run(wider, references, samples)
    except (tf.errors.OpError, ValueError):
        return False
    each = [_run(network, references, [sample]) for sample in samples]
    return all(
        whole.shape == (_SAMPLES, *parts[0].shape[1:])
        and np.allclose(whole, np.concatenate(parts), rtol=0, atol=_TOLERANCE * _largest(parts))
        for whole, parts in zip(together, zip(*each, strict=True), strict=True)
    )


def _run(network: Network, references: Sequence[str], samples: list[Sample]) -> list[Array]:
    import tensorflow as tf

    feeds = stack(samples, network)
    found = function(network, references)(*(tf.constant(feeds[s.name]) for s in network.inputs))
    return [np.asarray(tensor) for tensor in found]


def _largest(parts: Sequence[Array]) -> float:
    return max(float(np.abs(part).max(initial=0.0)) for part in parts)
