"""Integer kernels: ai-edge-quantizer, fed with the plan's ranges instead of its own calibration."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mlc.optimize.plan import Activation, Weight
from mlc.targets.tflite import flatbuffer

__all__ = ["quantize_operations", "stored_scales"]

Position = tuple[int, int]  # graph, tensor


def quantize_operations(
    model: Any, activations: Mapping[int, Activation], weights: Mapping[Position, Weight]
) -> Any:
    """The model with every operation of the main graph computed in integers that can be.

    It can be if the plan makes all float tensors that it reads and writes integers, and the quantizer
    knows a kernel. Between integers and floats stand QUANTIZE and DEQUANTIZE. The inputs and outputs of
    the model stay float32. Tensors are renamed to their positions, `t0_17`.
    """
    from ai_edge_quantizer.quantizer import Quantizer

    _name_by_position(model)
    with _quietly():
        quantizer = Quantizer(bytearray(flatbuffer.serialize(model)))
        bits = _choose(quantizer, model, activations, weights)
        if not bits:
            return model
        result = quantizer.quantize(
            _ranges(model.subgraphs[0], activations, weights, bits),
            enable_progress_bar=False,
            enable_progress_report=False,
        )
        return flatbuffer.parse(bytes(result.quantized_model))


def stored_scales(model: Any, activations: Mapping[int, Activation]) -> dict[str, float]:
    """The scale of each activation that the quantized model holds as integers, by its name in the plan.

    Where a kernel demands another scale than the plan's, the quantizer puts a QUANTIZE behind it, or
    takes its own.
    """
    found: dict[str, float] = {}
    for tensor in model.subgraphs[0].tensors:
        match = re.fullmatch(r"t0_(\d+)(_\w+)?", flatbuffer.text(tensor.name))
        activation = activations.get(int(match[1])) if match else None
        if activation and not flatbuffer.is_float32(tensor) and tensor.quantization is not None:
            known = found.get(activation.name)
            scale = float(tensor.quantization.scale[0])
            if known is None or known == np.float32(activation.scale):
                found[activation.name] = scale
    return found


def _name_by_position(model: Any) -> None:
    """The quantizer chooses operations by regular expressions over the names of their results."""
    for g, graph in enumerate(model.subgraphs):
        for t, tensor in enumerate(graph.tensors):
            tensor.name = f"t{g}_{t}".encode()  # as the quantizer expects them


def _choose(
    quantizer: Any,
    model: Any,
    activations: Mapping[int, Activation],
    weights: Mapping[Position, Weight],
) -> dict[int, int]:
    """Tell the quantizer which operations it may touch.

    Returns the bits of each constant that they read, by its tensor: four where there is a kernel for
    them; elsewhere the same integers take eight.
    """
    from ai_edge_quantizer.qtyping import QuantGranularity, TFLOperationName
    from ai_edge_quantizer.utils.tfl_flatbuffer_utils import TFL_OP_CODE_TO_NAME, get_op_scope

    graph = model.subgraphs[0]
    chosen: dict[int, int] = {}
    for op in graph.operators:
        kind = TFL_OP_CODE_TO_NAME.get(model.operatorCodes[op.opcodeIndex].builtinCode)
        floats = [i for i in (*op.inputs, *op.outputs) if i >= 0 and _varies(model, graph, i)]
        if kind is None or not floats or not all(i in activations for i in floats):
            continue
        read = next((i for i in op.inputs if (0, i) in weights), -1)
        weight = weights.get((0, read))
        per_tensor = weight is not None and not weight.axes
        if kind == TFLOperationName.GATHER and weight is not None and not per_tensor:
            continue  # LiteRT has no kernel for tables with a scale per row, and refuses such a file
        for bits in (4, 8) if weight is not None and weight.bits == 4 else (8,):
            with contextlib.suppress(ValueError):  # there is no such kernel
                quantizer.add_static_config(
                    f"^{re.escape(get_op_scope(op, graph.tensors))}$",
                    kind,
                    activation_num_bits=activations[floats[0]].bits,
                    weight_num_bits=bits,
                    weight_granularity=QuantGranularity.TENSORWISE
                    if per_tensor
                    else QuantGranularity.CHANNELWISE,
                )
                chosen[read] = bits
                break
    return chosen


def _varies(model: Any, graph: Any, t: int) -> bool:
    tensor = graph.tensors[t]
    return flatbuffer.is_float32(tensor) and not flatbuffer.constant(model, tensor)


def _ranges(
    graph: Any,
    activations: Mapping[int, Activation],
    weights: Mapping[Position, Weight],
    bits: Mapping[int, int],
) -> dict[str, Any]:
    """The plan as the quantizer's calibration result: least and greatest value by name of a tensor.

    In float64, so that the scales that it computes of them are the plan's to the last bit.
    """
    found = {}
    for t, activation in activations.items():
        most = 2 ** (activation.bits - 1) - 1
        least = -most - 1 if activation.bits == 8 else -most
        low, high = ((q - activation.zero_point) * activation.scale for q in (least, most))
        found[f"t0_{t}"] = _range(low, high, (1,) * len(graph.tensors[t].shape))
    for (g, t), weight in weights.items():
        if g == 0 and t in bits:
            reach = np.array(weight.scale) * (2 ** (bits[t] - 1) - 1)
            shape = [-1 if i in weight.axes else 1 for i in range(len(graph.tensors[t].shape))]
            found[f"t0_{t}"] = _range(-reach, reach, shape)
    return found


def _range(low: Any, high: Any, shape: Sequence[int]) -> dict[str, Any]:
    return {"min": np.reshape(low, shape), "max": np.reshape(high, shape)}


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """The quantizer reports on stdout and warns of how it uses the interpreter."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
