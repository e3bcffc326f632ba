"""The stock converter's graph passes, in its order, kept from the places where they go wrong.

Its passes match `bias(conv(x))` by looking at inputs only. Where another node also reads `conv(x)`, that
node silently gets the scaled, biased or activated value (tensorflowjs 4.22); where two convolutions
share a kernel, the second loses it. So before each pass every *shared* node that the pass would look
through is hidden behind an Identity, which it can't see through, and shared kernels are copied::

    conv ─┬─► BatchNorm          conv ─► Identity ─┬─► BatchNorm
          └─► Add          ⇒                       └─► Add
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mlc.errors import UnsupportedError
from mlc.targets.tfjs import stock
from mlc.targets.tfjs.lower import lower

__all__ = ["optimize"]

_HIDDEN = "/mlc_shared"  # ends the name of the Identities that hide a node
_COPY = "/mlc_copy"

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
_ADDITIONS = ("BiasAdd", "Add", "AddV2")
_FUSED = ("_FusedConv2D", "_FusedMatMul", "FusedDepthwiseConv2dNative")

_RESHAPING = ("Squeeze", "Reshape", "ExpandDims")

_TIDY = ("constfold", "arithmetic", "dependency")


def optimize(graph_def: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """Fuse and fold for TF.js. Raises `UnsupportedError` with the names of the ops it doesn't know."""
    placeholders = {n.name: n for n in graph_def.node if n.name in inputs}
    with _quiet():
        graph_def = _inline(graph_def, outputs)
        lower(graph_def)
        _refuse_unsupported(graph_def)
        graph_def = _grappler(graph_def, outputs, ("pruning", *_TIDY, "pruning", *_TIDY))

        _copy_shared_constants(graph_def, _CONVOLUTIONS)
        _hide_shared(graph_def, (*_CONVOLUTIONS, *_ADDITIONS))
        graph_def = stock.passes("fold_batch_norms").fold_batch_norms(graph_def)
        _reveal(graph_def)
        _name_biases(graph_def)
        for node in graph_def.node:
            if node.op in ("Conv2D", "MatMul"):
                node.device = "/device:CPU:0"  # remap fuses only what is on the CPU
        # Where the CPU has AVX512-VNNI, remap fuses what is left of these with a Relu, as TF.js cannot.
        _hide(graph_def, [n for n in graph_def.node if n.op.startswith("FusedBatchNorm")])
        graph_def = _grappler(graph_def, outputs, ("remap", *_TIDY))

        prelu, depthwise = stock.passes("fuse_prelu"), stock.passes("fuse_depthwise_conv2d")
        _copy_shared_constants(graph_def, ("Mul",))  # PReLU's slope is negated in place
        _hide_shared(graph_def, ("Relu", "Neg", "Mul"))
        graph_def = prelu.fuse_ops_for_prelu(graph_def)
        _hide_shared(graph_def, (*_CONVOLUTIONS, "BiasAdd"))
        graph_def = depthwise.fuse_depthwise_conv2d(graph_def)
        _hide_shared(graph_def, _FUSED)
        graph_def = prelu.fuse_prelu_with_fused_conv2d_or_matmul(graph_def)
    _reveal(graph_def)
    _refuse_unsupported(graph_def)
    return _ordered(graph_def, placeholders, inputs, outputs)


def _refuse_unsupported(graph_def: Any) -> None:
    unknown = stock.conversion().validate(graph_def, skip_op_check=False, strip_debug_ops=False)
    if unknown:
        raise UnsupportedError(
            f"TF.js has no {', '.join(sorted(unknown))}.",
            "Replace the layers that use it, or build the other targets only.",
        )


def _inline(graph_def: Any, outputs: Sequence[str]) -> Any:
    """Turn loops and branches that call functions into Enter, Switch, Merge and Exit of one graph.

    So does the stock converter. TF.js 4.22 knows `While` too, but frees tensors that a loop's body has
    put into a list: LSTM and GRU then fail, on every backend.
    """
    for nodes in (graph_def.node, *(f.node_def for f in graph_def.library.function)):
        for node in nodes:
            if node.op in ("While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase"):
                node.attr["_lower_using_switch_merge"].b = True
    return _grappler(graph_def, outputs, ("function",)) if graph_def.library.function else graph_def


def _grappler(graph_def: Any, outputs: Sequence[str], optimizers: Sequence[str]) -> Any:
    """Run TensorFlow's own graph optimizer as the stock converter does: for an imaginary GPU."""
    import tensorflow as tf
    from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2
    from tensorflow.python.grappler import tf_optimizer
    from tensorflow.python.training.saver import export_meta_graph

    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        for name in outputs:
            graph.add_to_collection("train_op", graph.get_operation_by_name(name))
        meta_graph = export_meta_graph(graph_def=graph_def, graph=graph)
    config = config_pb2.ConfigProto()
    rewrites = config.graph_options.rewrite_options
    rewrites.optimizers[:] = optimizers
    rewrites.min_graph_nodes = -1  # also in the smallest graph
    rewrites.function_optimization = rewriter_config_pb2.RewriterConfig.AGGRESSIVE
    return tf_optimizer.OptimizeGraph(config, meta_graph, cluster=stock.conversion().get_cluster())


def _name_biases(graph_def: Any) -> None:
    """Call an addition right after a product `BiasAdd` where it adds one constant per channel.

    That is what the optimizer fuses. The stock pass renames every addition, also of two products. And
    the wasm backend refuses to fuse a bias that was ever reshaped, as in each LSTM of Keras 3 for
    batch 1: there `BiasAdd` becomes an addition.
    """
    nodes = {n.name: n for n in graph_def.node}
    shared = _read_twice(graph_def)
    for node in graph_def.node:
        if node.op == "BiasAdd" and node.attr["data_format"].s != b"NCHW":
            if _source(node.input[1], nodes).op in _RESHAPING:
                node.op = "AddV2"
                del node.attr["data_format"]
        elif node.op in ("Add", "AddV2") and len(node.input) == 2:
            product, bias = (nodes[_node_name(i)] for i in node.input)
            channels = _channels(product, nodes)
            if product.name in shared or bias.op != "Const" or channels is None:
                continue
            if _const_shape(bias) == (channels,):
                node.op = "BiasAdd"
                node.attr["data_format"].s = b"NHWC"


def _source(name: str, nodes: dict[str, Any]) -> Any:
    """The node that a tensor comes from, behind whatever hands it on unchanged."""
    node = nodes[_node_name(name)]
    while node.op in ("Identity", "Switch", "Merge", "Enter", "Exit"):
        node = nodes[_node_name(node.input[0])]
    return node


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").split(":")[0]


def _channels(product: Any, nodes: dict[str, Any]) -> int | None:
    """How many channels a convolution or matrix product with a constant kernel yields, last axis."""
    if product.op not in ("MatMul", *_CONVOLUTIONS) or product.attr["data_format"].s == b"NCHW":
        return None
    kernel = nodes[_node_name(product.input[1])]
    if kernel.op != "Const":
        return None
    *outer, last = _const_shape(kernel)
    if product.op == "DepthwiseConv2dNative":
        return outer[-1] * last
    return outer[0] if product.attr["transpose_b"].b else last


def _const_shape(node: Any) -> tuple[int, ...]:
    return tuple(dim.size for dim in node.attr["value"].tensor.tensor_shape.dim)


def _hide_shared(graph_def: Any, ops: Iterable[str]) -> None:
    shared = _read_twice(graph_def)
    _hide(graph_def, [n for n in graph_def.node if n.op in ops and n.name in shared])


def _hide(graph_def: Any, nodes: Sequence[Any]) -> None:
    hidden = {n.name: n.name + _HIDDEN for n in nodes}
    for reader in graph_def.node:
        for i, name in enumerate(reader.input):
            reader.input[i] = hidden.get(name, name)
    for node in nodes:
        identity = graph_def.node.add(name=hidden[node.name], op="Identity", input=[node.name])
        identity.attr["T"].CopyFrom(node.attr["T"])


def _reveal(graph_def: Any) -> None:
    """Take the Identities of `_hide` away again."""
    behind = {n.name: n.input[0] for n in graph_def.node if n.name.endswith(_HIDDEN)}
    for node in graph_def.node:
        for i, name in enumerate(node.input):
            while name in behind:
                name = behind[name]
            node.input[i] = name
    kept = [n for n in graph_def.node if n.name not in behind]
    del graph_def.node[:]
    graph_def.node.extend(kept)


def _copy_shared_constants(graph_def: Any, readers: Iterable[str]) -> None:
    """Give each of the `readers` its own copy of a constant that is read more than once."""
    shared = _read_twice(graph_def)
    constants = {n.name: n for n in graph_def.node if n.op == "Const" and n.name in shared}
    for node in [n for n in graph_def.node if n.op in readers]:
        for i, name in enumerate(node.input):
            if name in constants:
                copy = graph_def.node.add()
                copy.CopyFrom(constants[name])
                copy.name = node.input[i] = f"{node.name}/{i}{_COPY}"


def _read_twice(graph_def: Any) -> set[str]:
    reads = Counter(i for node in graph_def.node for i in node.input)
    return {name for name, count in reads.items() if count > 1}


def _ordered(
    graph_def: Any, placeholders: dict[str, Any], inputs: Sequence[str], outputs: Sequence[str]
) -> Any:
    """The nodes in an order that follows from the graph alone, inputs first, unused ones included."""
    nodes = {**placeholders, **{n.name: n for n in graph_def.node}}
    # Depth first without recursion: a network may be deeper than Python's stack.
    order = dict.fromkeys(inputs)
    stack = [(name, False) for name in reversed(outputs)]
    entered: set[str] = set()
    while stack:
        name, is_done = stack.pop()
        if is_done:
            order.setdefault(name)
        elif name not in entered:
            entered.add(name)
            stack.append((name, True))
            sources = [_node_name(i) for i in nodes[name].input]
            stack.extend((source, False) for source in reversed(sources))
    ordered = type(graph_def)()
    ordered.versions.CopyFrom(graph_def.versions)
    ordered.node.extend(nodes[name] for name in order)
    ordered.library.function.extend(
        sorted(graph_def.library.function, key=lambda f: str(f.signature.name))
    )
    return ordered


@contextmanager
def _quiet() -> Iterator[None]:
    """The passes warn of every BatchNorm they leave; the report's op counts tell it better."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
