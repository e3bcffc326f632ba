"""What a finished file does not need: constants that nothing reads, and names of what is inside."""

from __future__ import annotations

from typing import Any

__all__ = ["tidy"]


def tidy(model: Any) -> None:
    """Keep each constant once, drop those that nothing reads, and the names of inner tensors.

    The names are a tenth of a quantized file, and only debuggers show them. Inputs and outputs keep
    theirs; buffer 0 stays empty, as the format demands.
    """
    _name_inner(model)
    kept: dict[bytes, int] = {b"": 0}
    buffers = [model.buffers[0]]

    def moved(index: int) -> int:
        data = model.buffers[index].data
        content = b"" if data is None else bytes(data)
        if content not in kept:
            kept[content] = len(buffers)
            buffers.append(model.buffers[index])
        return kept[content]

    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.buffer = moved(tensor.buffer)
    for entry in model.metadata or ():
        entry.buffer = moved(entry.buffer)
    model.buffers = buffers


def _name_inner(model: Any) -> None:
    for graph in model.subgraphs:
        ends = {int(i) for i in (*graph.inputs, *graph.outputs)}
        for t, tensor in enumerate(graph.tensors):
            if t not in ends:
                tensor.name = b""
