"""Stages that go wrong. Workers import them by name, as they import the real ones."""

from __future__ import annotations

import importlib
import os
import signal
from pathlib import Path
from typing import Any

from mlc.convert.network import Network
from mlc.errors import UnsupportedError


def emit(folder: Path, name: str, network: Network, *more: Any) -> Any:
    """Core ML cannot hold the network, TF.js crashes, ONNX comes out with other weights."""
    if name == "coreml":
        raise UnsupportedError("Core ML has no Bessel function.", "Leave it out.")
    if name == "tfjs":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "onnx":
        network = with_other_weights(network)
    return importlib.import_module("mlc.build").emit(folder, name, network, *more)


def with_other_weights(network: Network) -> Network:
    """The same graph, its largest constant scaled by 1.2."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef.FromString(network.graph)
    constants = [n for n in graph.node if n.op == "Const" and n.attr["dtype"].type == 1]
    largest = max(constants, key=lambda n: n.ByteSize())
    array = tf.make_ndarray(largest.attr["value"].tensor)
    largest.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array * 1.2))
    return network.described(graph=graph.SerializeToString(deterministic=True))
