"""Pictures: which input takes one, and whether what is declared of them fits."""

from __future__ import annotations

from mlc.convert.network import Network, TensorSpec
from mlc.errors import UsageError

__all__ = ["check_preprocessing", "takes_picture"]


def takes_picture(spec: TensorSpec) -> bool:
    """Whether an input looks like a batch of pictures: (N, height, width, 1 or 3)."""
    return len(spec.shape) == 4 and spec.shape[3] in (1, 3)


def check_preprocessing(network: Network) -> None:
    """The declared preprocessing must yield as many channels as the input has; raises `UsageError`."""
    declared = network.preprocessing
    for spec in network.inputs:
        if declared and takes_picture(spec) and spec.shape[3] != declared.channels:
            raise UsageError(
                f"preprocessing: {declared.color} pictures have {declared.channels} channels, but input "
                f"{spec} takes {spec.shape[3]}.",
                "Say --color gray." if spec.shape[3] == 1 else "Say --color rgb or bgr.",
            )
