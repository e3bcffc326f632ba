"""The original as a teacher: what it answers, and the tensors inside that its student has too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlc.convert.graph import Body, Program
from mlc.convert.network import Network
from mlc.optimize.passes.linear import Linear, linears
from mlc.optimize.training.scores import ending, scores
from mlc.optimize.training.separate import separates

__all__ = ["Teacher", "computed", "hints", "teacher"]

_LEAST_SQUARE = 1e-8


@dataclass(frozen=True)
class Teacher:
    """The graph of the original; its scores, and its hints: tensors that the student has as well.

    `separate` says whether it and its student compute each sample by itself, so that any number of them
    can be given at once.
    """

    scores: tuple[str, ...]  # references, `name:0`
    hints: tuple[str, ...]  # references
    separate: bool
    graph: bytes = field(repr=False)  # a serialized GraphDef

    def tell(self, feeds: Mapping[str, Any], found: Sequence[Any]) -> tuple[list[Any], Any]:
        """Its scores, and how far `found`, the student's tensors, are from its hints: (N,).

        The distance is 0 where there are none (Romero et al. 2015): the mean over the tensors of the
        squared error, relative to the teacher's mean square. `feeds` are the inputs by reference, (N, …);
        to be called where a graph is traced.
        """
        import tensorflow as tf

        told = tf.import_graph_def(
            tf.compat.v1.GraphDef.FromString(self.graph),
            input_map={name: tf.identity(tensor) for name, tensor in feeds.items()},
            return_elements=[*self.scores, *self.hints],
            name="teacher",
        )
        told = [tf.stop_gradient(tensor) for tensor in told]
        answers, inside = told[: len(self.scores)], told[len(self.scores) :]
        count = tf.shape(next(iter(feeds.values())))[0]

        def mean_square(tensor: Any) -> Any:
            return tf.reduce_mean(tf.reshape(tf.square(tensor), [count, -1]), axis=1)

        distance = tf.zeros([count])
        for ours, theirs in zip(found, inside, strict=True):
            distance += mean_square(ours - theirs) / tf.maximum(mean_square(theirs), _LEAST_SQUARE)
        return answers, distance / max(len(inside), 1)


def teacher(student: Network, original: Network) -> Teacher:
    """The original, for a student that was made of it."""
    told, own = ([score.reference for score in scores(n)] for n in (original, student))
    inside = [f"{name}:0" for name in hints(student, original)]
    separate = separates(student, [*own, *inside]) and separates(original, [*told, *inside])
    return Teacher(tuple(told), tuple(inside), separate, original.graph)


def hints(student: Network, original: Network) -> tuple[str, ...]:
    """Names of what all linear ops compute whose channels are still those of the original.

    The answers alone tell little of a network of few classes: one sample, one bit. These tell every
    layer what to compute, so that less data and fewer epochs do. Not the scores, which are taught anyway.
    """
    own, others = Program.of(student).main, Program.of(original).main
    told = {score.reference.split(":")[0] for score in scores(student)}
    told |= {ending(own, spec.name).name for spec in student.outputs}
    return tuple(
        name
        for name in (computed(own, op) for op in linears(own))
        if name in others.nodes and own.shape(name) == others.shape(name) and name not in told
    )


def computed(body: Body, op: Linear) -> str:
    """The node that holds what a linear op computes, with its bias."""
    reader = body.only_reader(op.node.name)
    name: str = reader.name if reader is not None and reader.op == "BiasAdd" else op.node.name
    return name
