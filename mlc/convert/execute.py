"""Run the canonical network itself: the reference that every artifact is compared with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from mlc.convert.network import Network

__all__ = ["Reference", "concrete_function", "function"]

Array = np.ndarray[Any, np.dtype[Any]]

_OUTSIDE = 4096  # bytes from which on a weight stays outside: what shapes are made of is smaller


def concrete_function(network: Network) -> Any:
    """The network as a TensorFlow function of its inputs in order, returning outputs in order.

    Its weights are constants in the graph, where converters look for them.
    """
    return _traced(network, _graph_def(network), {}, _outputs(network), list)


def function(
    network: Network,
    references: Sequence[str] = (),
    then: Callable[[list[Any]], list[Any]] = list,
) -> Any:
    """The same, to be run: what `then` makes of the referenced tensors; of the outputs where none are.

    Weights stay outside of the graph, as the variables of the source did: TensorFlow copies a graph about
    ten times before its first run.
    """
    graph_def = _graph_def(network)
    weights = _taken_out(graph_def)
    return _traced(network, graph_def, weights, references or _outputs(network), then)


def _graph_def(network: Network) -> Any:
    import tensorflow as tf

    return tf.compat.v1.GraphDef.FromString(network.graph)


def _outputs(network: Network) -> list[str]:
    return [f"{s.name}:0" for s in network.outputs]


def _taken_out(graph_def: Any) -> dict[str, Any]:
    """Remove the weights of a graph; returns them by name."""
    import tensorflow as tf

    weights = {}
    for node in graph_def.node:
        if node.op == "Const" and tf.dtypes.as_dtype(node.attr["dtype"].type).is_floating:
            values = tf.make_ndarray(node.attr["value"].tensor)
            if values.nbytes >= _OUTSIDE:
                weights[node.name] = tf.constant(values)
    _drop(graph_def, weights)
    return weights


def _drop(graph_def: Any, names: Collection[str]) -> None:
    """Remove nodes, and the order that others kept to them."""
    for k in reversed(range(len(graph_def.node))):
        if graph_def.node[k].name in names:
            del graph_def.node[k]
    for node in graph_def.node:
        kept = [i for i in node.input if i[:1] != "^" or i[1:] not in names]
        if len(kept) < len(node.input):
            node.input[:] = kept


def _traced(
    network: Network,
    graph_def: Any,
    weights: Mapping[str, Any],
    references: Sequence[str],
    then: Callable[[list[Any]], list[Any]],
) -> Any:
    import tensorflow as tf

    def results(*feeds: Any) -> list[Any]:
        capture = tf.compat.v1.get_default_graph().capture
        given = dict(zip((s.name for s in network.inputs), feeds, strict=True))
        given |= {name: capture(value) for name, value in weights.items()}
        found = tf.import_graph_def(
            graph_def,
            input_map={f"{name}:0": t for name, t in given.items() if name in read},
            return_elements=references,
            name="",
        )
        return then(found)

    _drop(graph_def, {s.name for s in network.inputs})
    read = {i.split(":")[0] for node in graph_def.node for i in node.input}
    signature = [tf.TensorSpec(s.shape, s.dtype, s.name) for s in network.inputs]
    return tf.compat.v1.wrap_function(results, signature)


class Reference:
    """The network in TensorFlow, behind the same doors as a target's runtime."""

    timed = True

    def __init__(self, network: Network) -> None:
        import tensorflow as tf

        self.name = f"TensorFlow {tf.__version__}"
        self.inputs, self.outputs = network.inputs, network.outputs
        self._function = function(network)
        self._tensor = tf.constant

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch; feeds by input name, results by output name."""
        tensors = [self._tensor(feeds[s.name], dtype=s.dtype) for s in self.inputs]
        results = self._function(*tensors)
        return {s.name: np.asarray(r) for s, r in zip(self.outputs, results, strict=True)}

    def close(self) -> None:
        """Nothing to give back: TensorFlow frees the graph with the object."""
