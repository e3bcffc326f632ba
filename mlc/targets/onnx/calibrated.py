"""int8 with calibration data: onnxruntime's static quantization, made safe for every CPU."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mlc.convert.network import Network
from mlc.targets.onnx.saturation import weight_scales
from mlc.targets.target import Arrays, Calibration

__all__ = ["quantize"]

# Softmax as 8-bit integers moves in steps of 1/256: too coarse for many classes, and no faster.
_LEFT_IN_FLOAT = frozenset({"Softmax"})


def quantize(model: Any, network: Network, calibration: Calibration) -> Any:
    """Quantize to pairs of QuantizeLinear and DequantizeLinear around each operation.

    Activations are uint8 with the least and greatest value that calibration saw. Weights are int8 with
    a scale per channel, so chosen that no CPU's sums overflow: see `saturation`.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="mlc-onnx-") as folder:
        plain, prepared, quantized = (
            Path(folder) / f"{stage}.onnx" for stage in ("plain", "prepared", "quantized")
        )
        plain.write_bytes(model.SerializeToString())
        # Folds what surrounds a convolution into it. Its symbolic shapes fail on loops; sizes are
        # not needed here, only types.
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantized,
            _Reader(network, calibration),
            op_types_to_quantize=sorted({*QDQRegistry, *QLinearOpsRegistry} - _LEFT_IN_FLOAT),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,  # of what has no scale from us
            extra_options={"TensorQuantOverrides": weight_scales(onnx.load(prepared).graph)},
        )
        return onnx.load(quantized)


class _Reader:
    """Calibration batches as onnxruntime asks for them: one by one, None at the end."""

    def __init__(self, network: Network, calibration: Calibration) -> None:
        self._batches = _cut_all(network, calibration)

    def get_next(self) -> Arrays | None:
        return next(self._batches, None)

    def __iter__(self) -> Iterator[Arrays]:
        return self._batches


def _cut_all(network: Network, calibration: Calibration) -> Iterator[Arrays]:
    """Batches of the network's own size, in the types of its inputs."""
    for batch in calibration():
        arrays = {s.name: np.asarray(batch[s.name]).astype(s.dtype) for s in network.inputs}
        size = next(iter(network.inputs[0].shape), None)
        if size is None:
            yield arrays
            continue
        count = len(arrays[network.inputs[0].name])
        for start in range(0, count - size + 1, size):
            yield {name: array[start : start + size] for name, array in arrays.items()}
