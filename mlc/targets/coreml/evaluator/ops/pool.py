"""MIL `pool`: windows over one, two or three spatial dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlc.targets.coreml.evaluator.lowering import Call, Graph, lowers
from mlc.targets.coreml.evaluator.ops.conv import padding

__all__: list[str] = []


@dataclass(frozen=True)
class _Windows:
    """Kernel and strides, MIL's padding, and what `ceil_mode` lets the last window overhang."""

    kernel: list[int]
    strides: list[int]
    padding: dict[str, Any]
    overhang: list[int]

    @property
    def attributes(self) -> dict[str, Any]:
        """Everything as one set of ONNX attributes: overhang is padding at the end."""
        if not any(self.overhang):
            return {"kernel_shape": self.kernel, "strides": self.strides, **self.padding}
        pads = list(self.padding["pads"])
        rank = len(self.kernel)
        ends = [pads[rank + i] + self.overhang[i] for i in range(rank)]
        return {"kernel_shape": self.kernel, "strides": self.strides, "pads": pads[:rank] + ends}


def _windows(op: Call) -> _Windows:
    kernel = op.integers("kernel_sizes") or []
    ones = [1] * len(kernel)
    strides = op.integers("strides") or ones
    pads = padding(op, kernel, strides, ones)
    overhang = [0] * len(kernel)
    if op.flag("ceil_mode"):
        overhang = _overhang(op, kernel, strides, pads)
    return _Windows(kernel, strides, pads, overhang)


def _overhang(op: Call, kernel: list[int], strides: list[int], pads: dict[str, Any]) -> list[int]:
    """How far the last window reaches beyond the padded input, by MIL's formula for `ceil_mode`.

    The output has ⌈(padded - kernel) / stride⌉ + 1 elements, one less if the last window would begin in
    the padding at the end (and there is any padding).
    """
    spatial = op["x"].type.shape[2:]
    if "pads" not in pads or None in spatial:
        raise op.unsupported("ceil_mode", "with an input of open size")
    reach: list[int] = []
    for axis, size in enumerate(spatial):
        before, after = pads["pads"][axis], pads["pads"][len(spatial) + axis]
        padded = (size or 0) + before + after
        count = -(-(padded - kernel[axis]) // strides[axis]) + 1
        if (count - 1) * strides[axis] >= (size or 0) + before and before + after > 0:
            count -= 1
        begin = (count - 1) * strides[axis]
        if begin >= padded:
            raise op.unsupported("ceil_mode", "a window lies outside of the input")
        reach.append(max(0, begin + kernel[axis] - padded))
    return reach


@lowers(
    "max_pool", "x", "kernel_sizes", "pad_type", strides=None, pad=None, ceil_mode=False, exact=True
)
def max_pool(graph: Graph, op: Call) -> str:
    """The largest element of each window; padding never wins."""
    return graph.node("MaxPool", op.tensor("x"), **_windows(op).attributes)


@lowers(
    "avg_pool", "x", "kernel_sizes", "pad_type",
    strides=None, pad=None, ceil_mode=False, exclude_padding_from_average=False,
)  # fmt: skip
def avg_pool(graph: Graph, op: Call) -> str:
    """The mean of each window.

    Padding counts as zeros unless excluded. What a window overhangs because of `ceil_mode` is not
    counted, as in PyTorch, after which MIL's mode is named.
    """
    x, windows = op.tensor("x"), _windows(op)
    if op.flag("exclude_padding_from_average"):
        return graph.node("AveragePool", x, count_include_pad=0, **windows.attributes)
    if not any(windows.overhang):
        return graph.node("AveragePool", x, count_include_pad=1, **windows.attributes)
    rank = len(windows.kernel)
    pads = windows.padding["pads"]
    around = graph.ints([0, 0, *pads[:rank], 0, 0, *pads[rank:]])
    return graph.node(
        "AveragePool",
        graph.node("Pad", x, around, graph.constant(np.float32(0))),
        kernel_shape=windows.kernel,
        strides=windows.strides,
        pads=[0] * rank + windows.overhang,
        count_include_pad=0,
    )


@lowers("l2_pool", "x", "kernel_sizes", "pad_type", strides=None, pad=None, ceil_mode=False)
def l2_pool(graph: Graph, op: Call) -> str:
    """The root of the sum of squares of each window."""
    return graph.node("LpPool", op.tensor("x"), p=2, **_windows(op).attributes)
