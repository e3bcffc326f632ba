"""Run the canonical network itself: the reference that every artifact is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlc.convert.network import Network

__all__ = ["Reference", "concrete_function"]

Array = np.ndarray[Any, np.dtype[Any]]


def concrete_function(network: Network) -> Any:
    """The network as a TensorFlow function of its inputs in order, returning outputs in order."""
    import tensorflow as tf

    graph_def = tf.compat.v1.GraphDef.FromString(network.graph)
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph_def, name=""), [])
    return wrapped.prune(
        [f"{s.name}:0" for s in network.inputs], [f"{s.name}:0" for s in network.outputs]
    )


class Reference:
    """The network in TensorFlow, behind the same doors as a target's runtime."""

    timed = True

    def __init__(self, network: Network) -> None:
        import tensorflow as tf

        self.name = f"TensorFlow {tf.__version__}"
        self.inputs, self.outputs = network.inputs, network.outputs
        self._function = concrete_function(network)
        self._tensor = tf.constant

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch; feeds by input name, results by output name."""
        tensors = [self._tensor(feeds[s.name], dtype=s.dtype) for s in self.inputs]
        results = self._function(*tensors)
        return {s.name: np.asarray(r) for s, r in zip(self.outputs, results, strict=True)}

    def close(self) -> None:
        """Nothing to give back: TensorFlow frees the graph with the object."""
