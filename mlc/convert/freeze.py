"""Trace once, freeze, fold: anything TensorFlow can call → the canonical network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlc.convert.fixed_shapes import fix_shapes
from mlc.convert.graph import Program
from mlc.convert.network import Description, Network, Provenance, TensorSpec
from mlc.errors import SourceError, UsageError, first_line

__all__ = ["as_identifiers", "check_names", "freeze"]

_RANDOM = {
    "RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal", "RandomGamma",
    "Multinomial", "RandomShuffle", "RandomPoissonV2",
}  # fmt: skip

_BODY = "body"  # scope of everything that is neither input nor output

Call = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def freeze(
    call: Call,
    inputs: Sequence[TensorSpec],
    provenance: Provenance,
    description: Description,
    notes: Sequence[str] = (),
) -> Network:
    """Freeze `call`, which maps input tensors by name to output tensors by name.

    Graph before::

        args ─► Call(captured variables) ─► nested results

    Graph after::

        Placeholder(input name) ─► body/… with constants ─► Identity(output name)

    Names that are not identifiers (`[A-Za-z_][A-Za-z0-9_]*`), which Core ML refuses, are changed here,
    once, so that all artifacts agree; a note tells of it.

    Raises `SourceError` for text inputs, look-up tables, state that is kept between calls, and where
    `call` fails.
    """
    for spec in inputs:
        if spec.dtype == "string":
            raise SourceError(
                f"Input {spec.name!r} takes text, which no artifact can.",
                "Turn text into numbers in the app, and save the part of the model after that.",
            )
    import tensorflow as tf

    arguments = as_identifiers([spec.name for spec in inputs])

    def by_position(*tensors: Any) -> list[Any]:
        results.update(call(dict(zip((s.name for s in inputs), tensors, strict=True))))
        return [tf.identity(t) for t in results.values()]

    results: dict[str, Any] = {}
    function = tf.function(
        by_position,
        autograph=False,
        input_signature=[
            tf.TensorSpec(s.shape, tf.dtypes.as_dtype(s.dtype), name=a)
            for s, a in zip(inputs, arguments, strict=True)
        ],
    )
    try:
        traced = function.get_concrete_function()
    except Exception as error:  # a model's own code may raise anything
        raise _untraceable(inputs, error) from error
    _refuse_state(traced)
    sizes = {v.ref(): v.shape.num_elements() for v in traced.graph.variables if v.dtype.is_floating}
    frozen = _without_variables(traced)
    outputs = as_identifiers(list(results), taken=arguments)

    with tf.Graph().as_default() as graph:
        placeholders = {
            old.name: tf.compat.v1.placeholder(
                tf.dtypes.as_dtype(spec.dtype), spec.shape, name=argument
            )
            for old, spec, argument in zip(
                traced.inputs[: len(inputs)], inputs, arguments, strict=True
            )  # variables follow
        }
        ends = tf.import_graph_def(
            _without_constraints(frozen),
            input_map=placeholders,
            return_elements=[t.name for t in traced.outputs],
            name=_BODY,
        )
        for end, name in zip(ends, outputs, strict=True):
            tf.identity(end, name=name)
    graph = fix_shapes(graph)
    ends = [graph.get_tensor_by_name(f"{name}:0") for name in outputs]
    graph_def = tf.compat.v1.graph_util.extract_sub_graph(
        graph.as_graph_def(), [*arguments, *outputs]
    )
    _refuse_variables(graph_def)
    if graph_def.library.function:  # their names and arguments hold counters of this process
        graph_def = Program(graph_def.SerializeToString(), arguments, outputs).graph_def()

    renamed = [
        f"The name {old!r} became {new!r}: Core ML and generated code need distinct identifiers."
        for old, new in zip(
            [*(s.name for s in inputs), *results], [*arguments, *outputs], strict=True
        )
        if old != new
    ]
    return Network(
        graph=graph_def.SerializeToString(deterministic=True),
        inputs=tuple(
            TensorSpec(a, s.shape, s.dtype) for a, s in zip(arguments, inputs, strict=True)
        ),
        outputs=tuple(
            TensorSpec(name, _shape(end), end.dtype.name)
            for name, end in zip(outputs, ends, strict=True)
        ),
        endings=tuple(_ending(end.op) for end in ends),
        parameters=sum(sizes.values()),
        vocabulary=_vocabulary(graph_def, arguments),
        provenance=provenance,
        description=description,
        notes=(*notes, *renamed, *_chances(graph_def)),
    )


def _untraceable(inputs: Sequence[TensorSpec], error: Exception) -> SourceError:
    """Layers that compute with a size fail where it is open: say which input leaves it open."""
    hint = "Try --batch or --input-shape as it was trained."
    for spec in inputs:
        if None in spec.shape[1:]:
            dims = "x".join(str(d or 224) for d in (spec.shape[0] or 1, *spec.shape[1:]))
            hint = f"Fix the open shape with --input-shape, e.g. {spec.name}={dims}."
    shown = ", ".join(map(str, inputs))
    return SourceError(f"The model cannot be run on {shown}: {_reason(error)}", hint)


def _reason(error: Exception) -> str:
    """What a failed call says: Keras's first line only tells in which layer, in bold type."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [
        s for s in plain.splitlines() if not s.startswith("Exception encountered when calling")
    ]
    return first_line(ValueError("\n".join(lines)))


def _chances(graph_def: Any) -> list[str]:
    """A note for a network that draws random numbers: no artifact can answer as it does."""
    nodes = [*graph_def.node, *(n for f in graph_def.library.function for n in f.node_def)]
    return [
        f"The network draws random numbers in every call ({node.op} at {node.name}), so nothing can be "
        "equal to it: is a dropout or augmentation layer called with training=True?"
        for node in nodes
        if node.op in _RANDOM
    ][:1]


def check_names(shapes: Mapping[str, Any], names: Sequence[str]) -> None:
    """Shapes are given for inputs that exist; raises `UsageError`."""
    for name in shapes:
        if name not in names:
            raise UsageError(
                f"--input-shape: the model has no input {name!r}.", f"It has {', '.join(names)}."
            )


def as_identifiers(names: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """Make every name an identifier, and all of them different from each other and from `taken`."""
    used = {name.lower() for name in (*taken, _BODY)}  # TensorFlow tells no A from a
    result = []
    for name in names:
        clean = re.sub(r"\W", "_", name.split(":")[0], flags=re.ASCII) or "_"
        clean = f"_{clean}" if clean[0].isdigit() else clean
        # TensorFlow scopes must not start with an underscore.
        clean = f"x{clean}" if clean.startswith("_") else clean
        unique, n = clean, 1
        while unique.lower() in used:
            unique, n = f"{clean}_{n}", n + 1
        used.add(unique.lower())
        result.append(unique)
    return result


def _shape(tensor: Any) -> tuple[int | None, ...]:
    if tensor.shape.rank is None:
        raise SourceError(
            f"The rank of output {tensor.name!r} is unknown.",
            "Give the input a fixed shape with --input-shape NAME=DIMS.",
        )
    return tuple(tensor.shape.as_list())


def _ending(op: Any) -> str:
    """The kind of op that computes an output, seen through ops that only pass it on."""
    while op.type in ("Identity", "Reshape", "Squeeze", "Cast") and op.inputs:
        op = op.inputs[0].op
    return str(op.type)


def _vocabulary(graph_def: Any, inputs: Sequence[str]) -> dict[str, int]:
    """Rows of the tables that inputs index, followed forward through ops that keep the values."""
    nodes = {node.name: node for node in graph_def.node}

    def origin(name: str) -> str:
        node = nodes[name.split(":")[0]]
        if node.op == "SelectV2":  # Keras 3 counts negative indices from the end
            return origin(node.input[2])
        passes = node.op in ("Identity", "Cast", "Reshape", "Squeeze", "ExpandDims", "Transpose")
        return origin(node.input[0]) if passes else str(node.name)

    rows = {}
    for node in graph_def.node:
        if node.op in ("GatherV2", "Gather", "ResourceGather"):
            table, index = nodes[origin(node.input[0])], origin(node.input[1])
            if index in inputs and table.op == "Const":
                rows[index] = int(table.attr["value"].tensor.tensor_shape.dim[0].size)
    return rows


def _without_variables(traced: Any) -> Any:
    """A traced function as a GraphDef, variables as constants, calls inlined.

    TensorFlow's public `convert_variables_to_constants_v2` does this, and then makes a function of it
    that can be called, which takes longer than all the rest.
    """
    from tensorflow.python.framework import convert_to_constants as stock

    data = stock._FunctionConverterDataInEager(
        func=traced, lower_control_flow=False, aggressive_inlining=True
    )
    graph_def, _ = stock._replace_variables_by_constants(converter_data=data)
    return graph_def


def _without_constraints(graph_def: Any) -> Any:
    """Without control edges, which inlined calls leave on NoOps: inference has no order to keep.

    And without colocation, which names placeholders that others take the place of.
    """
    for node in graph_def.node:
        data = [i for i in node.input if not i.startswith("^")]
        del node.input[:]
        node.input.extend(data)
        node.attr.pop("_class", None)
    return graph_def


def _refuse_state(traced: Any) -> None:
    """Before freezing: what is captured but no variable, and what a call would change."""
    variables = {id(v.handle) for v in traced.graph.variables}
    for captured, inner in traced.graph.captures:
        if captured.dtype.name in ("resource", "variant") and id(captured) not in variables:
            raise SourceError(
                f"The model keeps state that cannot be frozen (at {inner.name}).",
                "Move look-up tables and stateful layers out of the model, into the app.",
            )
    graph_def = traced.graph.as_graph_def()
    for node in [*graph_def.node, *(n for f in graph_def.library.function for n in f.node_def)]:
        if node.op.startswith("Assign") and node.op.endswith("VariableOp"):
            raise SourceError(
                f"The model changes its state in every call ({node.op} at {node.name}).",
                "Save it with stateless layers: stateful=False, no counters.",
            )


def _refuse_variables(graph_def: Any) -> None:
    for node in graph_def.node:
        if node.op in ("VarHandleOp", "ReadVariableOp", "HashTableV2", "MutableHashTableV2"):
            raise SourceError(
                f"The model keeps state that cannot be frozen ({node.op} at {node.name}).",
                "Move look-up tables and stateful layers out of the model, into the app.",
            )
