"""Loops → loops with two variables in front, for coremltools to throw away."""

from __future__ import annotations

from typing import Any

from mlc.convert.graph import Body, Program
from mlc.targets.coreml.rewrites.request import Request

__all__ = ["loop_counters"]


def loop_counters(program: Program, request: Request) -> None:
    """The first two variables of every While, which TensorFlow uses for a counter and a maximum, are
    deleted by coremltools, read by the condition or not. Keras 3's recurrent layers do read them (the
    conversion dies), and so does `tf.while_loop(..., maximum_iterations=n)` (the loop never ends).
    Give it two others to delete.

    ::

        Before:  counter, maximum, state... ─► While ─► counter, maximum, state...

        After:   0, 0, counter, maximum, state... ─► While ─► 0, 0, counter, maximum, state...
    """
    for body in program.bodies():
        for node in body.find("While", "StatelessWhile"):
            _widen(body, node)


def _widen(body: Body, node: Any) -> None:
    import tensorflow as tf

    nothing, shape = tf.int32.as_datatype_enum, tf.TensorShape([]).as_proto()
    (zero,) = body.insert(node.name, lambda: tf.constant(0), [], [])
    variables = list(node.input)
    del node.input[:]
    node.input.extend([zero, zero, *variables])
    types = [nothing, nothing, *node.attr["T"].list.type]
    shapes = [shape, shape, *node.attr["output_shapes"].list.shape]
    node.attr["T"].list.ClearField("type")
    node.attr["T"].list.type.extend(types)
    if len(shapes) == len(types):
        del node.attr["output_shapes"].list.shape[:]
        node.attr["output_shapes"].list.shape.extend(shapes)
    body.redirect({(node.name, i): f"{node.name}:{i + 2}" for i in range(len(variables))})

    for part in ("cond", "body"):
        inner = body.calls[node.name, part]
        spare = ["spare0", "spare1"]
        for name in spare:
            placeholder = tf.compat.v1.NodeDef(name=name, op="Placeholder")
            placeholder.attr["dtype"].type = nothing
            placeholder.attr["shape"].shape.CopyFrom(shape)
            inner.nodes[name] = placeholder
        inner.inputs = [*spare, *inner.inputs]
        if part == "body":
            inner.outputs = [*spare, *inner.outputs]
