"""Lets convolutions keep their blocked layout across roundings.

onnxruntime computes convolutions in a layout of its own (channels in blocks of 8 or 16) and carries it
from one to the next through ops that it knows to be elementwise. A cast is none of those, so between any
two convolutions of a float16 program every tensor would be reordered twice: half of all that rounding
costs. The layout does survive a Relu; so onnxruntime is shown a Relu wherever there is a rounding, and
once it has decided on layouts the roundings are put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mlc.targets.coreml.evaluator.session import written_optimized

__all__ = ["laid_out"]

_HALF, _FLOAT = 10, 1  # ONNX's numbers of float16 and float32
_MOST_BYTES = 1 << 30  # a message of protobuf holds two of them

# What would take a Relu for what it says.
_BELIEVING = ["ConstantFolding", "FuseReluClip", "GemmActivationFusion", "ReluQuantFusion"]


def laid_out(model: Any) -> Any:
    """The same model, optimized by onnxruntime for this machine, with every rounding in its place.

    1. The model's own Relus become Clips, which onnxruntime fuses just as well.
    2. Each rounding (to float16 and back, and nobody reads the half) becomes a Relu.
    3. onnxruntime optimizes, and writes down what it made of it.
    4. Each Relu, on its own or fused into a convolution, becomes a rounding.

    The model itself is returned where this gains nothing (no convolution is rounded), and where step 4
    does not find as many Relus as step 2 made.
    """
    from onnx import ModelProto

    roundings = _roundings(model.graph)
    convolves = any(node.op_type == "Conv" for node in model.graph.node)
    if not roundings or not convolves or model.ByteSize() > _MOST_BYTES:
        return model
    shown = ModelProto()
    shown.CopyFrom(model)
    _show(shown.graph, roundings)
    with TemporaryDirectory(prefix="mlc-") as folder:
        path = Path(folder) / "optimized.onnx"
        written_optimized(shown, path, without=_BELIEVING)
        optimized = ModelProto.FromString(path.read_bytes())
    restored = _restore(optimized.graph)
    return optimized if restored == len(roundings) else model


def _roundings(graph: Any) -> dict[str, str]:
    """The roundings of the outermost graph: name of the half → name of the result."""
    halves = {n.output[0]: n for n in graph.node if n.op_type == "Cast" and _to(n) == _HALF}
    read: dict[str, list[Any]] = {}
    for node in _walk(graph):
        for name in node.input:
            read.setdefault(name, []).append(node)
    kept = {output.name for output in graph.output}
    return {
        name: readers[0].output[0]
        for name in halves
        if len(readers := read.get(name, [])) == 1
        and readers[0].op_type == "Cast"
        and _to(readers[0]) == _FLOAT
        and name not in kept
    }


def _show(graph: Any, roundings: dict[str, str]) -> None:
    from onnx import helper, numpy_helper

    bounds = {"relu.least": np.float32(0), "relu.most": np.float32(np.inf)}
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in bounds.items()
    )
    for node in _walk(graph):
        if node.op_type == "Relu":
            node.op_type = "Clip"
            node.input.extend(bounds)
    results = set(roundings.values())
    nodes = []
    for node in graph.node:
        if node.output[0] in roundings:
            (value,) = node.input
            nodes.append(helper.make_node("Relu", [value], [roundings[node.output[0]]]))
        elif node.output[0] not in results:
            nodes.append(node)
    _replace(graph, nodes)


def _restore(graph: Any) -> int:
    """Put roundings in the place of Relus; returns how many."""
    from onnx import helper

    nodes, count = [], 0
    for node in graph.node:
        fused = [a for a in node.attribute if a.name == "activation" and a.s == b"Relu"]
        if node.op_type != "Relu" and not fused:
            nodes.append(node)
            continue
        count += 1
        value, half, result = f"rounding.{count}", f"rounding.{count}.half", node.output[0]
        if fused:
            node.attribute.remove(fused[0])
            node.output[0] = value
            nodes.append(node)
        else:
            (value,) = node.input
        nodes.append(helper.make_node("Cast", [value], [half], to=_HALF))
        nodes.append(helper.make_node("Cast", [half], [result], to=_FLOAT))
    _replace(graph, nodes)
    return count


def _replace(graph: Any, nodes: list[Any]) -> None:
    del graph.node[:]
    graph.node.extend(nodes)


def _walk(graph: Any) -> Iterator[Any]:
    """Every node, those of loops and branches too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _walk(attribute.g)


def _to(cast: Any) -> int:
    return next(int(a.i) for a in cast.attribute if a.name == "to")
