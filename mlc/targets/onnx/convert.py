"""Network → float32 ONNX model with the network's names."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from mlc.convert.execute import concrete_function
from mlc.convert.network import Network, TensorSpec
from mlc.errors import UnsupportedError
from mlc.targets.onnx.canonical import canonical
from mlc.targets.onnx.graphs import all_graphs
from mlc.targets.onnx.invariants import hoist_invariants
from mlc.targets.onnx.lean import lean
from mlc.targets.onnx.missing import HANDLERS
from mlc.targets.onnx.recurrent import restore_sums

__all__ = ["convert", "rebuilt"]


def convert(network: Network, opset: int) -> Any:
    """Convert by tf2onnx; raises `UnsupportedError` with the operations that ONNX lacks.

    Tensors have tf2onnx's names, which are the network's for the most part: inputs and outputs are
    called `name:0`. `rebuilt` gives them their final ones.
    """
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    try:
        try:
            with lean():
                model = _converted(network, opset)
        except Exception:  # an optimization may fail, which the stock way does without
            model = _converted(network, opset)
    except (ValueError, KeyError, NotImplementedError, AttributeError, TypeError) as error:
        line = next((s.strip() for s in str(error).splitlines() if s.strip()), "no reason given")
        raise UnsupportedError(
            f"tf2onnx cannot convert the network to opset {opset}: {line[:200]}",
            "A higher --opset may have what is missing.",
        ) from error
    _refuse_foreign_ops(model, opset)
    hoist_invariants(model)
    return model


def _converted(network: Network, opset: int) -> Any:
    import tf2onnx

    graph_def = _inlined(network)
    restore_sums(graph_def)
    model, _ = tf2onnx.convert.from_graph_def(
        graph_def,
        input_names=[f"{s.name}:0" for s in network.inputs],
        output_names=[f"{s.name}:0" for s in network.outputs],
        opset=opset,
        custom_op_handlers={name: (handler, []) for name, handler in HANDLERS.items()},
    )
    return model


def rebuilt(model: Any, network: Network, suffix: str = "") -> Any:
    """The model anew: canonical, with exactly the network's inputs and outputs.

    `suffix` follows the network's names in the model as it is.
    """
    import onnx

    graph = canonical(
        model.graph,
        {s.name + suffix: s.name for s in network.inputs},
        [(s.name + suffix, s.name) for s in network.outputs],
    )
    graph.input.extend(_value_info(s) for s in network.inputs)
    graph.output.extend(_value_info(s) for s in network.outputs)

    domains = {n.domain for g in all_graphs(graph) for n in g.node} | {""}
    opsets = [o for o in model.opset_import if o.domain in domains]
    result = onnx.ModelProto(graph=graph, opset_import=sorted(opsets, key=lambda o: o.domain))
    # The oldest format that has these operations opens in the most runtimes.
    result.ir_version = onnx.helper.find_min_ir_version_for(list(result.opset_import))
    return result


def _inlined(network: Network) -> Any:
    """The graph without calls: Keras asks XLA to compile grouped convolutions, and so hides them."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    graph_def = tf.compat.v1.GraphDef.FromString(network.graph)
    functions = graph_def.library.function
    nodes = [*graph_def.node, *(node for function in functions for node in function.node_def)]
    if not any(node.op in ("PartitionedCall", "StatefulPartitionedCall") for node in nodes):
        return graph_def
    for holder in [*nodes, *functions]:
        holder.attr.pop("_XlaMustCompile", None)
    # TensorFlow refuses a second function of a name that it knows with other contents.
    for function in functions:
        function.signature.name += "_inlinable"
    for node in nodes:
        for value in node.attr.values():
            for reference in (value.func, *value.list.func):
                if reference.name:
                    reference.name += "_inlinable"
    traced = concrete_function(replace(network, graph=graph_def.SerializeToString()))
    inlined = convert_variables_to_constants_v2(
        traced, lower_control_flow=False, aggressive_inlining=True
    )
    return inlined.graph.as_graph_def()


def _value_info(spec: TensorSpec) -> Any:
    import numpy as np
    import onnx

    element = (
        onnx.TensorProto.STRING
        if spec.dtype == "string"
        else onnx.helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    )
    # The same name means the same size: all inputs and outputs share one batch.
    shape = [
        ("batch" if axis == 0 else f"{spec.name}_{axis}") if size is None else size
        for axis, size in enumerate(spec.shape)
    ]
    return onnx.helper.make_tensor_value_info(spec.name, element, shape)


def _refuse_foreign_ops(model: Any, opset: int) -> None:
    """tf2onnx leaves what it does not know in the graph, under TensorFlow's name."""
    import onnx

    foreign = sorted(
        {
            node.op_type
            for graph in all_graphs(model.graph)
            for node in graph.node
            if not onnx.defs.has(node.op_type, opset, node.domain)
        }
    )
    if foreign:
        raise UnsupportedError(
            f"ONNX opset {opset} has no operation for {', '.join(foreign)}.",
            "Replace the layers that use it, try a higher --opset, or leave this target out.",
        )
