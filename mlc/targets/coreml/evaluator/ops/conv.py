"""MIL `conv` and `conv_transpose`, with one, two or three spatial dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlc.targets.coreml.evaluator.lowering import Call, Graph, lowers

__all__ = ["padding"]


def padding(
    op: Call, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> dict[str, Any]:
    """`pad_type` and `pad` as ONNX attributes.

    "same" pads so that the output has ⌈input / stride⌉ elements, the odd element of padding going to the
    end, with "same_lower" to the beginning. Where the input's size is open, onnxruntime computes it.
    """
    spatial = op["x"].type.shape[2:]
    kind = op.text("pad_type").lower()
    if kind == "custom":
        pad = op.integers("pad") or [0] * 2 * len(spatial)
        return {"pads": pad[0::2] + pad[1::2]}
    op.irrelevant("pad")
    if kind == "valid":
        return {"pads": [0] * 2 * len(spatial)}
    if kind not in ("same", "same_lower"):
        raise op.unsupported("pad_type", kind)
    before: list[int] = []
    after: list[int] = []
    for size, taps, stride, dilation in zip(spatial, kernel, strides, dilations, strict=True):
        if size is None:
            return {"auto_pad": "SAME_UPPER" if kind == "same" else "SAME_LOWER"}
        total = max(0, (-(-size // stride) - 1) * stride + (taps - 1) * dilation + 1 - size)
        small, large = total // 2, total - total // 2
        before.append(small if kind == "same" else large)
        after.append(large if kind == "same" else small)
    return {"pads": before + after}


def _static(op: Call, parameter: str) -> list[int]:
    """The shape of a weight: never open."""
    shape = op[parameter].type.shape
    sizes = [d for d in shape if d is not None]
    if len(sizes) != len(shape):
        raise op.unsupported(parameter, "its shape is open")
    return sizes


@lowers(
    "conv", "x", "weight",
    bias=None, strides=None, pad_type="valid", pad=None, dilations=None, groups=1,
)  # fmt: skip
def conv(graph: Graph, op: Call) -> str:
    """Convolution. Weight [C_out, C_in / groups, *kernel]; input [n, C_in, *spatial]."""
    kernel = _static(op, "weight")[2:]
    ones = [1] * len(kernel)
    strides, dilations = op.integers("strides") or ones, op.integers("dilations") or ones
    return graph.node(
        "Conv",
        op.tensor("x"),
        op.tensor("weight"),
        op.tensor("bias"),
        strides=strides,
        dilations=dilations,
        group=op.integer("groups"),
        **padding(op, kernel, strides, dilations),
    )


@lowers(
    "conv_transpose", "x", "weight",
    bias=None, pad=None, output_shape=None, pad_type="valid", strides=None, dilations=None, groups=1,
)  # fmt: skip
def conv_transpose(graph: Graph, op: Call) -> str:
    """Transposed convolution. Weight [C_in, C_out / groups, *kernel].

    The full result has (size - 1) · stride + (kernel - 1) · dilation + 1 elements per axis. `pad`
    ("custom") removes from it. With "same" the result has size · stride elements, with `output_shape`
    as many as that says: what is too much is removed on both sides, the odd element at the end.
    """
    kernel = _static(op, "weight")[2:]
    ones = [1] * len(kernel)
    strides, dilations = op.integers("strides") or ones, op.integers("dilations") or ones
    kind, wanted = op.text("pad_type").lower(), op.integers("output_shape")
    pad = [0] * 2 * len(kernel)
    if kind == "custom":
        pad = op.integers("pad") or pad
    else:
        op.irrelevant("pad")
    before, after, extra = pad[0::2], pad[1::2], [0] * len(kernel)
    if kind == "same" or wanted is not None:
        for axis, size in enumerate(op["x"].type.shape[2:]):
            if size is None:
                raise op.unsupported("pad_type", f"{kind} with an input of open size")
            full = (size - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1
            target = size * strides[axis] if wanted is None else wanted[2 + axis]
            surplus = full - before[axis] - after[axis] - target
            if kind == "custom":
                extra[axis] = -surplus
            else:
                before[axis], after[axis] = max(0, surplus) // 2, -(-max(0, surplus) // 2)
                extra[axis] = max(0, -surplus)
    elif kind not in ("valid", "custom"):
        raise op.unsupported("pad_type", kind)
    if any(e < 0 or e >= max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True)):
        raise op.unsupported("output_shape", "it does not fit the strides")
    return graph.node(
        "ConvTranspose",
        op.tensor("x"),
        op.tensor("weight"),
        op.tensor("bias"),
        strides=strides,
        dilations=dilations,
        group=op.integer("groups"),
        pads=before + after,
        output_padding=extra,
    )
