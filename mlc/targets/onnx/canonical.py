"""The same graph → the same bytes: order and names that follow from the graph alone.

tf2onnx numbers its names by a counter of the process and orders nodes and initializers by hash. Here
every name is new: inputs and outputs as the network has them; a node is its kind and its position
(`Conv_3`), what it computes is `Conv_3.0`, a constant is named after its first reader (`Conv_3.w1`).
The dots keep our names apart from the network's, which are identifiers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlc.targets.onnx.graphs import dependencies, subgraphs

__all__ = ["canonical"]


def canonical(graph: Any, inputs: Mapping[str, str], outputs: Sequence[tuple[str, str]]) -> Any:
    """A new graph without dead nodes, doc strings and value infos; declares no inputs and outputs.

    `inputs` maps present names to final ones; `outputs` are pairs of present and final name.

    Graph before::

        image:0 ─► Conv__17 ─► Conv__17:0 ─► Identity__9 ─► scores:0

    Graph after::

        image ─► Conv_0 ─► scores
    """
    import onnx

    result = onnx.GraphProto(name="mlc")
    names = _Names()
    scope = _Scope(graph, result, names, dict(inputs))
    for present, final in outputs:
        scope.require(present)
        scope.finish(present, final)
    return result


class _Names:
    """Counts nodes over the graph and all that is inside it: names are unique in the whole file."""

    def __init__(self) -> None:
        self._count = 0

    def node(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count - 1}"


class _Scope:
    """One graph on its way from `old` to `new`. `names` maps old tensor names to new ones."""

    def __init__(
        self,
        old: Any,
        new: Any,
        numbering: _Names,
        names: dict[str, str],
        outer: _Scope | None = None,
    ) -> None:
        self._new = new
        self._numbering = numbering
        self._names = names
        self._outer = outer
        self._constants = {tensor.name: tensor for tensor in old.initializer}
        self._producers = {}
        # Identities are looked through: which of two equal outputs has one is chance in tf2onnx.
        self._same: dict[str, str] = {}
        for node in old.node:
            value = _constant(node)
            if value is not None:
                self._constants[node.output[0]] = value
            elif node.op_type == "Identity" and not node.domain:
                self._same[node.output[0]] = node.input[0]
            else:
                self._producers.update({name: node for name in node.output if name})
        self._final: dict[str, Any] = {}  # new name -> node output slot that made it

    def require(self, name: str) -> None:
        """Emit all nodes that `name` needs, inputs before their readers, depth first."""
        pending = [self._behind(name)]
        while pending:
            node = self._producers.get(pending[-1])
            if node is None or pending[-1] in self._names:
                pending.pop()
                continue
            waiting = [
                n
                for n in map(self._behind, dependencies(node))
                if n in self._producers and n not in self._names
            ]
            if waiting:
                pending.extend(reversed(waiting))
            else:
                pending.pop()
                self._emit(node)

    def finish(self, present: str, final: str) -> None:
        """Give an output its final name: at its node, or by an Identity if it has a name already."""
        present = self._behind(present)
        slot = self._final.pop(self._names.get(present, ""), None)
        if slot is None:
            node = self._new.node.add()
            node.op_type, node.name = "Identity", self._numbering.node("Identity")
            node.input.append(self._resolve(present, f"{node.name}.w0"))
            node.output.append(final)
            return
        old_name = self._names[present]
        self._names[present] = final
        node, position = slot
        node.output[position] = final
        _rename_reads(self._new, old_name, final)

    def _behind(self, name: str) -> str:
        """The tensor that an Identity hands on."""
        while name in self._same:
            name = self._same[name]
        return name

    def _emit(self, old: Any) -> None:
        node = self._new.node.add()
        node.op_type, node.domain = old.op_type, old.domain
        node.name = self._numbering.node(old.op_type)
        node.input.extend(
            self._resolve(name, f"{node.name}.w{i}") for i, name in enumerate(old.input)
        )
        for position, name in enumerate(old.output):
            fresh = f"{node.name}.{position}" if name else ""
            node.output.append(fresh)
            if name:
                self._names[name] = fresh
                self._final[fresh] = (node, position)
        for attribute in sorted(old.attribute, key=lambda a: str(a.name)):
            copy = node.attribute.add()
            copy.CopyFrom(attribute)
            copy.ClearField("doc_string")
        for before, after in zip(subgraphs(old), subgraphs(node), strict=True):
            self._body(before, after, node.name)

    def _body(self, old: Any, new: Any, owner: str) -> None:
        new.Clear()
        new.name = f"{owner}.body"
        inside = _Scope(old, new, self._numbering, {}, outer=self)
        for position, declared in enumerate(old.input):
            fresh = f"{self._numbering.node('in')}.{position}"
            inside._names[declared.name] = fresh
            _declare(new.input.add(), declared, fresh)
        for declared in old.output:
            inside.require(declared.name)
            fresh = self._numbering.node("out") + ".0"
            inside.finish(declared.name, fresh)
            _declare(new.output.add(), declared, fresh)

    def _resolve(self, name: str, fresh: str) -> str:
        """The new name of an old tensor; a constant enters the new graph at its first reader."""
        if not name:
            return ""
        name = self._behind(name)
        if name in self._names:
            return self._names[name]
        if name in self._constants:
            tensor = self._new.initializer.add()
            tensor.CopyFrom(self._constants[name])
            tensor.name = fresh
            tensor.ClearField("doc_string")
            self._names[name] = fresh
            return fresh
        assert self._outer is not None, f"{name} is computed nowhere"
        return self._outer._resolve(name, fresh)


def _constant(node: Any) -> Any:
    """The tensor of a Constant node that has one."""
    if node.op_type != "Constant" or node.domain:
        return None
    return next((a.t for a in node.attribute if a.name == "value"), None)


def _declare(new: Any, old: Any, name: str) -> None:
    new.CopyFrom(old)
    new.name = name
    new.ClearField("doc_string")
    for dim in new.type.tensor_type.shape.dim:
        dim.ClearField("dim_param")  # numbered by a counter of the process


def _rename_reads(graph: Any, old: str, new: str) -> None:
    """Nodes emitted before an output got its final name may read it by the first one."""
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == old:
                node.input[i] = new
        for body in subgraphs(node):
            _rename_reads(body, old, new)
