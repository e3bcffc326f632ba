"""Network → differentiable function of variables → network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from mlc.convert.graph import Body, Program
from mlc.convert.network import Network
from mlc.data.dataset import batch_size
from mlc.optimize.passes.linear import Linear, linears
from mlc.optimize.training.separate import separates
from mlc.optimize.training.teacher import Teacher

__all__ = ["Free", "Parameter", "Thawed", "biases", "freeze", "kernels", "size"]

Array = np.ndarray[Any, np.dtype[Any]]

_FLOAT32 = 1  # tf.float32.as_datatype_enum


class Parameter(Protocol):
    """What a constant becomes while the network is trained. State: TensorFlow variables."""

    @property
    def trained(self) -> Sequence[Any]:
        """The variables that gradients change."""

    @property
    def kept(self) -> Sequence[Any]:
        """Variables beside them that a run which goes on later needs too."""

    def tensor(self) -> Any:
        """What the network computes with: differentiable, of the constant's shape."""

    def frozen(self) -> Array:
        """What the constant is in the end."""


class Free:
    """A constant that may take any values. State: its variable."""

    def __init__(self, values: Array, axes: Sequence[int] = ()) -> None:
        import tensorflow as tf

        self._size = size(values, axes)
        self._values = tf.Variable(values / self._size)
        self.trained: Sequence[Any] = [self._values]
        self.kept: Sequence[Any] = []

    def tensor(self) -> Any:
        """The variable in the size of the constant."""
        return self._values * self._size

    def frozen(self) -> Array:
        """The same as an array."""
        return np.asarray(self._values) * self._size


def size(values: Array, axes: Sequence[int] = ()) -> Array:
    """How large the values are, one power of two for each index of `axes`; broadcasts with them.

    Adam moves every variable by about the learning rate, whatever its size, and folded networks hold
    weights of very different sizes. So variables are kept near 1, and the rate is relative to their root
    mean square (as in Adafactor, Shazeer & Stern 2018, section 8). Powers of two change no value.
    """
    others = tuple(i for i in range(values.ndim) if i not in axes)
    square = np.square(values, dtype=np.float64)
    mean = square.mean(axis=others, keepdims=True)
    whole = square.mean()
    mean = np.where(mean > 0, mean, whole if whole > 0 else 1.0)
    powers: Array = np.exp2(np.round(np.log2(np.sqrt(mean)))).astype(np.float32)
    return powers


def kernels(body: Body) -> dict[str, Linear]:
    """The linear ops with float32 weights, by name of the constant, in the order of computation."""
    return {
        op.kernel: op
        for op in linears(body)
        if body.nodes[op.kernel].attr["dtype"].type == _FLOAT32
    }


def biases(body: Body) -> dict[str, Array]:
    """What is added to each channel, by name of the constants; folding leaves no other such op."""
    found = {}
    for node in body.in_order():
        values = body.value(node.input[1]) if node.op == "BiasAdd" else None
        if values is not None and values.dtype == np.float32:
            found[body.producer(node.input[1]).name] = values
    return found


class Thawed:
    """The network with parameters in the place of constants, for any number of samples at a time.

    Where the graph computes each sample by itself (`separates`), all go through it at once: on two cores
    a step of 32 takes a MobileNetV2 half of the time. Else one batch of the network's own size
    after another does, inside one TensorFlow function, and their gradients add up.
    """

    def __init__(
        self,
        network: Network,
        parameters: Mapping[str, Parameter],
        references: Sequence[str],
    ) -> None:
        import tensorflow as tf

        self._graph = tf.compat.v1.GraphDef.FromString(network.graph)
        functions = (n for f in self._graph.library.function for n in f.node_def)
        for node in (*self._graph.node, *functions):
            # Gradients of one's own live in the process that traced the source (Keras's silu has one):
            # what the ops compute is differentiated instead.
            node.attr.pop("_gradient_op_type", None)
        # Bodies of loops must be known to the process, and stay so: the gradient of the map below calls
        # them from a function that does not carry them.
        self._bodies = tf.compat.v1.wrap_function(
            lambda: tf.import_graph_def(self._graph, name=""), []
        )
        self._inputs = [s.name for s in network.inputs]
        self._batch = batch_size(network)
        self._references = list(references)
        self._separate = separates(network, self._references)
        self._parameters = parameters

    def __call__(self, feeds: Sequence[Any]) -> list[Any]:
        """Input tensors (N, …), in the order of the network's inputs → the referenced tensors (N, …).

        To be called while a `tf.function` is traced.
        """
        return self._run(feeds, None)

    def taught(self, feeds: Sequence[Any], teacher: Teacher) -> tuple[list[Any], list[Any], Any]:
        """The same, what the teacher says, and how far the student is from its hints: (N,)."""
        results = self._run(feeds, teacher)
        told = len(self._references)
        return results[:told], results[told:-1], results[-1]

    def _run(self, feeds: Sequence[Any], teacher: Teacher | None) -> list[Any]:
        import tensorflow as tf

        values = {f"{name}:0": p.tensor() for name, p in self._parameters.items()}
        references = [*self._references, *(teacher.hints if teacher else ())]
        told = len(self._references)

        def one_batch(batch: Sequence[Any]) -> list[Any]:
            fed = {f"{name}:0": t for name, t in zip(self._inputs, batch, strict=True)}
            found = tf.import_graph_def(
                self._graph,
                input_map={name: tf.identity(t) for name, t in (values | fed).items()},
                return_elements=references,
                name="",
            )
            if teacher is None:
                return list(found)
            answers, distance = teacher.tell(fed, found[told:])
            return [*found[:told], *answers, distance]

        if teacher.separate if teacher else self._separate:
            # A function of its own: no tape sees what is imported, but the gradient of a call.
            found: list[Any] = tf.function(one_batch, autograph=False)(list(feeds))
            return found
        count = tf.shape(feeds[0])[0]
        calls = -(-count // self._batch)
        rows = tf.minimum(tf.range(calls * self._batch), count - 1)  # the last batch is filled up

        def grouped(tensor: Any) -> Any:
            gathered = tf.gather(tensor, rows)
            return tf.reshape(gathered, tf.concat([[calls, self._batch], tf.shape(tensor)[1:]], 0))

        kinds = told + (len(teacher.scores) + 1 if teacher else 0)
        results = tf.map_fn(
            one_batch,
            [grouped(tensor) for tensor in feeds],
            fn_output_signature=[tf.float32] * kinds,
            # More at a time share oneDNN's kernels, which are not made for it: wrong gradients, crashes.
            parallel_iterations=1,
        )
        return [self._rows(tensor, count) for tensor in results]

    def _rows(self, tensor: Any, count: Any) -> Any:
        """(calls, batch, …) → (N, …)."""
        import tensorflow as tf

        return tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[2:]], 0))[:count]


def freeze(network: Network, values: Mapping[str, Array]) -> Network:
    """The network with these arrays in the place of its constants of those names."""
    program = Program.of(network)
    for name, array in values.items():
        program.main.set_constant(name, array)
    return program.network(network)
