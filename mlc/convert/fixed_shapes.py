"""Shapes that a graph computes on the way, because they were open → constants, once they are fixed."""

from __future__ import annotations

from typing import Any

__all__ = ["fix_shapes"]

_ASK_FOR_SHAPES = {"Shape", "ShapeN", "Size", "Rank"}

# Shapes, sizes and indices are small. Larger integers are data, which constants would bloat.
_MOST_ELEMENTS = 1024


def fix_shapes(graph: Any) -> Any:
    """Work out what follows from the shapes of the inputs; `tf.Graph` → `tf.Graph` with the same names.

    A SavedModel was traced with an open batch, and asks for its size while it runs, even where its
    inputs have a fixed one by now. TFLite cannot hold recurrent layers that do.

    ::

        Before:  x 1×12×8 ─► Shape ─► StridedSlice ─► Pack ─► Fill ─► While ?×16 ─► TensorListStack ?×16

        After:                                      [1, 16] ─► Fill ─► While 1×16 ─► TensorListStack 1×16

    1. Integers and booleans that do not depend on the inputs' values become constants. Floats are left
       alone: the network answers as before, to the last bit.
    2. A variable of a loop has the shape that it starts with, where the loop's body keeps it.
    3. A list has elements of the shape that it is made of, or that a loop writes into it.

    A graph that never asks for a shape comes back as it is.
    """
    import tensorflow as tf

    if not any(op.type in _ASK_FOR_SHAPES for op in graph.get_operations()):
        return graph
    while True:  # what one round fixes lets the next infer more
        graph_def = graph.as_graph_def()
        nodes = {node.name: node for node in graph_def.node}
        changed = [_fix(op, nodes) for op in graph.get_operations()]
        if not any(changed):
            return graph
        fixed = tf.compat.v1.GraphDef(
            node=nodes.values(), library=graph_def.library, versions=graph_def.versions
        )
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(fixed, name="")


def _fix(op: Any, nodes: dict[str, Any]) -> bool:
    """Write into `nodes` what is known of one op; returns whether that is new."""
    if op.type in ("While", "StatelessWhile"):
        return _fix_loop(op, nodes)
    if op.type == "TensorListFromTensor":
        return _state_elements(op, 1, op.inputs[0].shape[1:], nodes)
    return _fold(op, nodes)


def _fold(op: Any, nodes: dict[str, Any]) -> bool:
    from tensorflow.python.framework.tensor_util import try_evaluate_constant

    if len(op.outputs) != 1 or not op.inputs:
        return False
    (tensor,) = op.outputs
    small = tensor.shape.is_fully_defined() and tensor.shape.num_elements() <= _MOST_ELEMENTS
    if not small or not (tensor.dtype.is_integer or tensor.dtype.is_bool):
        return False
    value = try_evaluate_constant(tensor)
    if value is None:
        return False
    nodes[op.name] = _constant(op.name, value, tensor.dtype)
    return True


def _fix_loop(op: Any, nodes: dict[str, Any]) -> bool:
    import tensorflow as tf

    shapes = [tensor.shape for tensor in op.inputs]
    while True:
        after, elements = _one_round(op, shapes)
        kept = [a.most_specific_compatible_shape(b) for a, b in zip(shapes, after, strict=True)]
        if list(map(str, kept)) == list(map(str, shapes)):
            break
        shapes = kept
    stated = nodes[op.name].attr["output_shapes"].list
    wanted = [shape.as_proto() for shape in shapes]
    changed = list(stated.shape) != wanted
    del stated.shape[:]
    stated.shape.extend(wanted)
    for given, filled, element in zip(op.inputs, op.outputs, elements, strict=True):
        if given.dtype != tf.variant or given.op.type != "TensorListReserve":
            continue
        if given.consumers() == [op]:
            changed |= _state_elements(given.op, 0, element, nodes)
            for reader in filled.consumers():
                if reader.type == "TensorListStack":
                    changed |= _state_elements(reader, 1, element, nodes)
    return changed


def _one_round(op: Any, shapes: list[Any]) -> tuple[list[Any], list[Any]]:
    """A loop's body on variables of `shapes`: their shapes afterwards, and of what it writes in lists."""
    import tensorflow as tf
    from tensorflow.python.framework.function_def_to_graph import function_def_to_graph_def
    from tensorflow.python.ops.handle_data_util import copy_handle_data

    function = op.graph._get_function(op.get_attr("body").name).cached_definition
    with op.graph.as_default():
        body, names = function_def_to_graph_def(function, include_library_functions=True)
    with tf.Graph().as_default():
        arguments = {}
        for argument, given, shape in zip(
            function.signature.input_arg, op.inputs, shapes, strict=True
        ):
            placeholder = tf.compat.v1.placeholder(given.dtype, shape)
            copy_handle_data(given, placeholder)  # the shape of a list's elements
            arguments[names[argument.name]] = placeholder
        results = tf.import_graph_def(
            body, arguments, [names[function.ret[r.name]] for r in function.signature.output_arg]
        )
        return [r.shape for r in results], [_written(r.op) for r in results]


def _written(op: Any) -> Any:
    """The shape of the element that ends up in a list; unknown for whatever else it is."""
    import tensorflow as tf

    while op.type == "Identity":
        op = op.inputs[0].op
    return op.inputs[2].shape if op.type == "TensorListSetItem" else tf.TensorShape(None)


def _state_elements(op: Any, position: int, shape: Any, nodes: dict[str, Any]) -> bool:
    """Give an op the shape of a list's elements as its input at `position`, if it is wholly known."""
    import tensorflow as tf

    name = f"{op.name}/elements"
    if not shape.is_fully_defined() or name in nodes:
        return False
    nodes[name] = _constant(name, shape.as_list(), tf.int32)
    nodes[op.name].input[position] = name
    nodes[op.name].attr["shape_type"].type = tf.int32.as_datatype_enum
    return True


def _constant(name: str, value: Any, dtype: Any) -> Any:
    import tensorflow as tf

    node = tf.compat.v1.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = dtype.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype))
    return node
