"""Small questions about ONNX graphs that more than one file here asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["all_graphs", "captured", "dependencies", "subgraphs"]


def subgraphs(node: Any) -> list[Any]:
    """The bodies of a Loop, Scan or If, in the order of their attribute names."""
    bodies = []
    for attribute in sorted(node.attribute, key=lambda a: str(a.name)):
        if attribute.HasField("g"):
            bodies.append(attribute.g)
        bodies.extend(attribute.graphs)
    return bodies


def all_graphs(graph: Any) -> Iterator[Any]:
    """A graph and every graph inside it."""
    yield graph
    for node in graph.node:
        for body in subgraphs(node):
            yield from all_graphs(body)


def captured(graph: Any) -> list[str]:
    """The outer tensors that a subgraph reads, in the order in which its results need them."""
    own = {i.name for i in graph.input} | {t.name for t in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output if name}
    found: dict[str, None] = {}
    seen: set[int] = set()
    # Depth first without recursion: unrolled networks are deeper than Python's stack.
    pending = [o.name for o in reversed(graph.output)]
    while pending:
        name = pending.pop()
        if name in producers:
            node = producers[name]
            if id(node) not in seen:
                seen.add(id(node))
                pending.extend(reversed([n for n in dependencies(node) if n]))
        elif name not in own:
            found[name] = None
    return list(found)


def dependencies(node: Any) -> list[str]:
    """What a node reads: its inputs, then what its subgraphs capture. "" is an absent input."""
    return [*node.input, *(name for body in subgraphs(node) for name in captured(body))]
