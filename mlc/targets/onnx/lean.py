"""Leave out of tf2onnx's work what only serves its developers: half of the time and of the memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["lean"]

_SWITCH = "TF2ONNX_CATCH_ERRORS"


@contextmanager
def lean() -> Iterator[None]:
    """Yield with tf2onnx changed in two respects.

    1. It copies the whole graph, weights included, before each of two dozen optimizations, to have it
       back where one of them fails. Such a failure is raised instead.
    2. After each it writes all nodes into protobufs, weights included, which never give back what they
       held before: 4 GB for a network of 100 MB. Nobody reads them until the model is made, but for
       those of loops and branches.
    """
    from tf2onnx.optimizer.optimizer_base import GraphOptimizerBase

    before, optimize = os.environ.get(_SWITCH), GraphOptimizerBase.optimize
    os.environ[_SWITCH], GraphOptimizerBase.optimize = "FALSE", _optimize
    try:
        yield
    finally:
        GraphOptimizerBase.optimize = optimize
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before


def _optimize(optimizer: Any, graph: Any, iteration: int) -> Any:
    optimizer.opt_iteration = iteration
    graph = optimizer._optimize(graph)
    for node in graph.get_nodes():
        if node.get_body_graphs():
            node.update_proto()
    graph.delete_unused_nodes(graph.outputs)
    return graph
