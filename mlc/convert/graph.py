"""A TensorFlow graph that is pleasant to rewrite: functions are graphs, a replacement is a lambda."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from mlc.convert.network import Network

__all__ = ["CALLS", "Body", "Program", "attribute", "tensor_name"]

# Ops that call functions → where in their inputs the arguments of those functions start.
CALLS = {
    "While": 0,
    "StatelessWhile": 0,
    "If": 1,
    "StatelessIf": 1,
    "PartitionedCall": 0,
    "StatefulPartitionedCall": 0,
}


def attribute(node: Any, name: str) -> Any:
    """An attribute of a node, empty where it has none: asking a protobuf map itself would add it."""
    import tensorflow as tf

    return node.attr[name] if name in node.attr else tf.compat.v1.AttrValue()


class Body:
    """The nodes of one graph, with what TensorFlow infers of their tensors.

    `inputs` are names of Placeholder nodes. `outputs` are references: `node` or `node:1`, as nodes
    name their inputs. `calls` maps the attributes of nodes that hold functions to those functions.
    """

    def __init__(self, nodes: Sequence[Any], inputs: list[str], outputs: list[str]) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.inputs, self.outputs = inputs, outputs
        self.calls: dict[tuple[str, str], Body] = {}
        self.library: Any = None  # the FunctionDefs that the nodes were written against
        self._snapshot: Any = None
        for node in self.nodes.values():  # inference has no order to keep
            _set_inputs(node, [i for i in node.input if not i.startswith("^")])

    def find(self, *kinds: str) -> list[Any]:
        """All nodes of these kinds, in a list of its own: rewriting does not disturb it."""
        return [node for node in self.nodes.values() if node.op in kinds]

    def tensor(self, reference: str) -> Any:
        """The symbolic tensor behind a reference: its dtype and static shape."""
        try:
            return self._imported().get_tensor_by_name(tensor_name(reference))
        except KeyError:  # written after the snapshot was taken
            self._snapshot = None
            return self._imported().get_tensor_by_name(tensor_name(reference))

    def shape(self, reference: str) -> tuple[int | None, ...] | None:
        """Static shape, or None where even the rank is unknown."""
        shape = self.tensor(reference).shape
        return None if shape.rank is None else tuple(shape.as_list())

    def constant(self, reference: str) -> Any:
        """The value of a reference that does not depend on inputs, or None.

        Shapes count as known where they are static.
        """
        tensor = self.tensor(reference)
        known: dict[str, Any] = {}
        waiting, seen = [tensor.op], set()
        while waiting:
            op = waiting.pop()
            if op.type == "Shape" and op.inputs[0].shape.is_fully_defined():
                sizes, (result,) = op.inputs[0].shape.as_list(), op.outputs
                known[op.name] = np.array(sizes, result.dtype.as_numpy_dtype)
            elif op.type in ("Placeholder", *CALLS):
                return None
            elif op not in seen:
                seen.add(op)
                waiting += [i.op for i in op.inputs]
        return self.evaluate([reference], known)[0]

    def evaluate(
        self, references: Sequence[str], known: Mapping[str, Any] | None = None
    ) -> list[Any]:
        """The values of several references that do not depend on inputs, computed together.

        `known` are values of nodes that need not be computed. TensorFlow would copy the graph many times
        to make it faster, which is worth nothing where it runs once.
        """
        import tensorflow as tf

        if not references:
            return []
        known = known or {}
        needed: dict[str, Any] = {}
        waiting = [reference.split(":")[0] for reference in references]
        while waiting:
            name = waiting.pop()
            if name in known:
                needed[name] = _constant_node(name, known[name])
            elif name not in needed:
                needed[name] = self.nodes[name]
                waiting += [i.split(":")[0] for i in self.nodes[name].input]
        graph = self._graph(needed.values())
        tensors = [graph.get_tensor_by_name(tensor_name(reference)) for reference in references]
        plain = tf.compat.v1.ConfigProto()
        plain.graph_options.rewrite_options.disable_meta_optimizer = True
        plain.graph_options.optimizer_options.opt_level = -1  # L0
        with tf.compat.v1.Session(graph=graph, config=plain) as session:
            return [np.asarray(value) for value in session.run(tensors)]

    def value(self, reference: str) -> Any:
        """The array of a `Const` node, or None where the reference is anything else."""
        node = self.nodes[reference.split(":")[0]]
        return self.constant_value(node.name) if node.op == "Const" else None

    def constant_value(self, name: str) -> Any:
        """The array that the `Const` of that name holds."""
        import tensorflow as tf

        return tf.make_ndarray(self.nodes[name].attr["value"].tensor)

    def set_constant(self, name: str, value: Any) -> None:
        """Give the `Const` of that name another array."""
        _fill(self.nodes[name], value)

    def add_constant(self, wish: str, value: Any) -> str:
        """Add a `Const`; returns its name, which is `wish` or begins so."""
        node = _constant_node(self._free_name(wish), value)
        self.nodes[node.name] = node
        return str(node.name)

    def become(self, node: Any, op: str, inputs: Sequence[str]) -> None:
        """Make another op of a node, in place: same name, same type and readers."""
        dtype = node.attr["T"].type
        node.attr.clear()
        node.op = op
        node.attr["T"].type = dtype
        _set_inputs(node, list(inputs))

    def insert_after(self, name: str, op: str, *operands: Any) -> Any:
        """Put `op(·, constants)` between the first output of a node and all that read it."""
        import tensorflow as tf

        node = tf.compat.v1.NodeDef(name=self._free_name(f"{name}/{op}"), op=op)
        self.redirect({(name, 0): node.name})
        self.nodes[node.name] = node
        constants = [self.add_constant(f"{node.name}/operand", operand) for operand in operands]
        _set_inputs(node, [name, *constants])
        return node

    def in_order(self) -> list[Any]:
        """The nodes, each after those that it reads."""
        ordered: dict[str, Any] = {}
        waiting = [(name, False) for name in reversed(self.nodes)]
        while waiting:
            name, ready = waiting.pop()
            if name in ordered:
                continue
            if ready:
                ordered[name] = self.nodes[name]
            else:
                waiting.append((name, True))
                waiting += [(i.split(":")[0], False) for i in self.nodes[name].input]
        return list(ordered.values())

    def only_reader(self, name: str) -> Any:
        """The one node that reads a node, once; None where there are several, or it is an output."""
        if any(o.split(":")[0] == name for o in self.outputs):
            return None
        readers = [n for n in self.consumers(name) for i in n.input if i.split(":")[0] == name]
        return readers[0] if len(readers) == 1 else None

    def producer(self, reference: str) -> Any:
        """The node behind a reference."""
        return self.nodes[reference.split(":")[0]]

    def consumers(self, name: str) -> list[Any]:
        """The nodes that read any output of the node of that name."""
        return [n for n in self.nodes.values() if any(i.split(":")[0] == name for i in n.input)]

    def replace(self, node: Any, compute: Callable[..., Any], *arguments: str) -> None:
        """Put the ops that `compute` traces in the place of a node, and of nodes only it read.

        `compute` is called with symbolic tensors of the arguments (by default the node's inputs) and
        returns what the node returned: one tensor, or a list of all its outputs.
        """
        references = list(arguments) or list(node.input)
        traced = [(t.dtype, t.shape) for t in map(self.tensor, references)]
        del self.nodes[node.name]
        results = self.insert(node.name, compute, references, traced)
        self.redirect({(node.name, i): result for i, result in enumerate(results)})
        self.prune()

    def insert(
        self,
        scope: str,
        compute: Callable[..., Any],
        references: Sequence[str],
        types: Sequence[tuple[Any, Any]],
    ) -> list[str]:
        """Add the ops that `compute` traces for arguments of these (dtype, shape).

        Returns references to the results. Nobody reads them yet.
        """
        piece, results = _trace(compute, types)
        scope = self._free_name(f"{scope}/mlc")
        outer = {f"arg{i}": reference for i, reference in enumerate(references)}

        def moved(reference: str) -> str:
            name, _, index = reference.partition(":")
            if name in outer:
                return outer[name]
            return f"{scope}/{name}:{index}" if index else f"{scope}/{name}"

        for node in piece:
            if node.name in outer:
                continue
            _set_inputs(node, [moved(i) for i in node.input if not i.startswith("^")])
            node.name = f"{scope}/{node.name}"
            self.nodes[node.name] = node
        return [moved(r) for r in results]

    def redirect(self, new: dict[tuple[str, int], str]) -> None:
        """Let every reader of (node, output index) read another reference instead.

        What `insert` made of that same node goes on reading it.
        """

        def moved(reference: str) -> str:
            name, _, index = reference.partition(":")
            return new.get((name, int(index or 0)), reference)

        old = {name for name, _ in new}
        inserted = tuple(f"{name}/mlc" for name in old)
        for node in self.nodes.values():
            if not node.name.startswith(inserted):
                _set_inputs(node, [moved(i) for i in node.input])
        self.outputs = [moved(o) for o in self.outputs]

    def prune(self) -> None:
        """Drop the nodes that no output needs; inputs stay."""
        waiting = [o.split(":")[0] for o in self.outputs] + list(self.inputs)
        needed: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name not in needed:
                needed.add(name)
                waiting += [i.split(":")[0] for i in self.nodes[name].input]
        self.nodes = {name: node for name, node in self.nodes.items() if name in needed}
        self.calls = {key: body for key, body in self.calls.items() if key[0] in needed}

    def infer_again(self) -> None:
        """Forget shapes that were inferred before a rewrite which makes them better known."""
        self._snapshot = None

    def _imported(self) -> Any:
        if self._snapshot is None:
            self._snapshot = self._graph(self.nodes.values())
        return self._snapshot

    def _graph(self, nodes: Iterable[Any]) -> Any:
        import tensorflow as tf

        graph_def = tf.compat.v1.GraphDef(node=nodes)
        if self.library is not None:
            graph_def.library.CopyFrom(self.library)
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(graph_def, name="")
        return graph

    def _free_name(self, wish: str) -> str:
        name, n = wish, 1
        while any(other == name or other.startswith(f"{name}/") for other in self.nodes):
            name, n = f"{wish}_{n}", n + 1
        return name


def tensor_name(reference: str) -> str:
    """A reference as sessions and imports want it: a node alone means its first output, `node:0`."""
    return reference if ":" in reference else f"{reference}:0"


def _constant_node(name: str, value: Any) -> Any:
    import tensorflow as tf

    node = tf.compat.v1.NodeDef(name=name, op="Const")
    _fill(node, value)
    return node


def _fill(constant: Any, value: Any) -> None:
    import tensorflow as tf

    constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    constant.attr["dtype"].type = constant.attr["value"].tensor.dtype


class Program:
    """A serialized GraphDef taken apart: its main graph, and one more for every call of a function."""

    @classmethod
    def of(cls, network: Network) -> Program:
        """The graph of a network, ready to be rewritten."""
        names = [s.name for s in network.inputs], [s.name for s in network.outputs]
        return cls(network.graph, *names)

    def network(self, network: Network) -> Network:
        """The network that this graph was opened from, with this graph as it is now."""
        graph = self.graph_def().SerializeToString(deterministic=True)
        return network.described(graph=graph)

    def __init__(self, graph: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        import tensorflow as tf

        graph_def = tf.compat.v1.GraphDef.FromString(graph)
        self.main = Body(graph_def.node, list(inputs), list(outputs))
        self.main.library = graph_def.library
        self._functions = {f.signature.name: f for f in graph_def.library.function}
        self._open(self.main)

    def bodies(self) -> Iterator[Body]:
        """The main graph, then the functions, outer ones first."""

        def visit(body: Body) -> Iterator[Body]:
            yield body
            for inner in list(body.calls.values()):
                yield from visit(inner)

        yield from visit(self.main)

    def graph_def(self) -> Any:
        """Put it together again. Functions are named by what they contain, arguments by position.

        So neither a counter of this process nor another network in it can reach the result. Every call
        has a function of its own: the converters for TFLite and Core ML change functions in place, and
        stumble over the second loop that shares one.
        """
        import tensorflow as tf

        functions: dict[str, Any] = {}
        for (node, attribute), inner in self.main.calls.items():
            self.main.nodes[node].attr[attribute].func.name = _close(inner, functions)
        graph_def = tf.compat.v1.GraphDef(node=self.main.in_order())
        graph_def.library.function.extend(functions.values())
        graph_def.versions.producer = tf.version.GRAPH_DEF_VERSION
        return graph_def

    def _open(self, body: Body) -> None:
        """Turn the functions that the nodes of a body call into bodies, and theirs."""
        from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

        for node in body.find(*CALLS):
            operation = body.tensor(f"{node.name}:0").op
            loop = node.op in ("While", "StatelessWhile")
            arguments = operation.outputs if loop else operation.inputs[CALLS[node.op] :]
            for attribute in sorted(node.attr):
                function = self._functions.get(node.attr[attribute].func.name)
                if function is None:
                    continue
                for stated in function.arg_attr.values():  # shapes of the time when it was traced
                    stated.attr.pop("_output_shapes", None)
                with operation.graph.as_default():
                    graph = function_def_to_graph(
                        function, input_shapes=[t.shape for t in arguments]
                    )
                inner = _by_position(graph)
                inner.library = body.library
                body.calls[node.name, attribute] = inner
                self._open(inner)


def _by_position(graph: Any) -> Body:
    """A function's graph with its arguments called arg0, arg1, ...

    TensorFlow puts counters of the process into their names.
    """
    names = {t.op.name: f"arg{i}" for i, t in enumerate(graph.inputs)}

    def moved(reference: str) -> str:
        name, _, index = reference.partition(":")
        name = names.get(name, name)
        return f"{name}:{index}" if index not in ("", "0") else name

    nodes = list(graph.as_graph_def().node)
    for node in nodes:
        node.name = names.get(node.name, node.name)
        _set_inputs(node, [moved(i) for i in node.input if not i.startswith("^")])
    body = Body(nodes, list(names.values()), [moved(t.name) for t in graph.outputs])
    body.prune()
    return body


def _close(body: Body, functions: dict[str, Any]) -> str:
    """Write a body as a FunctionDef into `functions`, those it calls first; return its name."""
    import tensorflow as tf
    from tensorflow.python.framework.graph_to_function_def import graph_to_function_def

    for (node, attribute), inner in body.calls.items():
        body.nodes[node].attr[attribute].func.name = _close(inner, functions)
    graph_def = tf.compat.v1.GraphDef(node=list(body.nodes.values()))
    graph_def.library.function.extend(functions.values())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    function = graph_to_function_def(
        graph,
        graph.get_operations(),
        [graph.get_tensor_by_name(f"{name}:0") for name in body.inputs],
        [graph.get_tensor_by_name(tensor_name(o)) for o in body.outputs],
        # coremltools finds the outputs of a loop by these endings.
        out_names=["identity", *(f"identity_{i}" for i in range(1, len(body.outputs)))],
    )
    digest = hashlib.sha256(function.SerializeToString(deterministic=True)).hexdigest()[:12]
    name = next(n for k in count() if (n := f"mlc_{digest}_{k}") not in functions)
    function.signature.name = name
    functions[name] = function
    return name


def _trace(
    compute: Callable[..., Any], types: Sequence[tuple[Any, Any]]
) -> tuple[list[Any], list[str]]:
    """The nodes of `compute`, reading placeholders arg0, arg1, ..., and references to its results."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        results = compute(
            *(
                tf.compat.v1.placeholder(dtype, shape, name=f"arg{i}")
                for i, (dtype, shape) in enumerate(types)
            )
        )
        results = results if isinstance(results, list) else [results]
        graph_def = graph.as_graph_def()
    # The name alone means the first output, as TensorFlow itself writes it.
    return list(graph_def.node), [r.name.removesuffix(":0") for r in results]


def _set_inputs(node: Any, inputs: list[str]) -> None:
    if list(node.input) != inputs:
        del node.input[:]
        node.input.extend(inputs)
