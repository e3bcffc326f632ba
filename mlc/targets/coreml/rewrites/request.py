"""What a rewrite may need to know besides the graph."""

from __future__ import annotations

from dataclasses import dataclass, field

from mlc.convert.network import Network
from mlc.targets.coreml.interface import Interface

__all__ = ["Request"]


@dataclass(frozen=True)
class Request:
    """The network and what was asked of it. Rewrites add whole sentences for the user to `notes`."""

    network: Network
    interface: Interface
    half: bool  # the program computes in float16
    notes: list[str] = field(default_factory=list)
