"""What a student is taught inside: the tensors that its teacher has too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlc.convert.graph import Body, Program
from mlc.convert.network import Network
from mlc.optimize.passes.linear import Linear, linears
from mlc.optimize.training.scores import ending, scores

__all__ = ["Hints", "computed", "hints"]

_LEAST_SQUARE = 1e-8


@dataclass(frozen=True)
class Hints:
    """Names of tensors that the student and the graph of the teacher both have."""

    names: tuple[str, ...]
    teacher: bytes = field(repr=False)  # a serialized GraphDef

    def distance(self, feeds: Mapping[str, Any], found: Sequence[Any]) -> Any:
        """How far the student's tensors are from the teacher's, a scalar; 0 is none (Romero et al. 2015).

        Mean over the tensors of the squared error, relative to the teacher's mean square. `feeds` are
        the inputs by reference; to be called where a graph is traced.
        """
        import tensorflow as tf

        told = tf.import_graph_def(
            tf.compat.v1.GraphDef.FromString(self.teacher),
            input_map={name: tf.identity(tensor) for name, tensor in feeds.items()},
            return_elements=[f"{name}:0" for name in self.names],
            name="teacher",
        )
        each = [
            tf.reduce_mean(tf.math.squared_difference(s, t))
            / tf.maximum(tf.reduce_mean(tf.square(t)), _LEAST_SQUARE)
            for s, t in zip(found, map(tf.stop_gradient, told), strict=True)
        ]
        return tf.add_n(each) / len(each)


def hints(student: Network, teacher: Network) -> Hints | None:
    """What all linear ops compute whose channels are still those of the teacher; None if none does.

    The answers alone tell little of a network of few classes: one sample, one bit. These tell every
    layer what to compute, so that less data and fewer epochs do. Not the scores, which are taught anyway.
    """
    own, others = Program.of(student).main, Program.of(teacher).main
    told = {score.reference.split(":")[0] for score in scores(student)}
    told |= {ending(own, spec.name).name for spec in student.outputs}
    names = tuple(
        name
        for name in (computed(own, op) for op in linears(own))
        if name in others.nodes and own.shape(name) == others.shape(name) and name not in told
    )
    return Hints(names, teacher.graph) if names else None


def computed(body: Body, op: Linear) -> str:
    """The node that holds what a linear op computes, with its bias."""
    reader = body.only_reader(op.node.name)
    name: str = reader.name if reader is not None and reader.op == "BiasAdd" else op.node.name
    return name
