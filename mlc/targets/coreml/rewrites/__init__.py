"""GraphDef → GraphDef: what stock coremltools refuses or gets wrong, said in ops that it knows."""

from __future__ import annotations

from typing import Any

from mlc.convert.network import Network
from mlc.targets.coreml.interface import Interface

__all__ = ["apply"]


def apply(network: Network, interface: Interface, half: bool) -> tuple[Any, list[str]]:
    """The network's graph for coremltools, and notes for the user."""
    import tensorflow as tf

    return tf.compat.v1.GraphDef.FromString(network.graph), []
