"""Network → float32 TFLite model."""

from __future__ import annotations

from typing import Any

from mlc.convert.execute import concrete_function
from mlc.convert.network import Network
from mlc.errors import UnsupportedError
from mlc.targets.tflite import flatbuffer
from mlc.targets.tflite.refusal import refusal

__all__ = ["convert"]


def convert(network: Network) -> Any:
    """A `ModelT` that computes what the network computes, in float32.

    Raises `UnsupportedError` where TFLite has no operation for one of the network's, or loses state.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete_function(network)])
    # Never SELECT_TF_OPS: such files need the Flex library, which phones do not have.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        model = flatbuffer.parse(converter.convert())
    except ConverterError as error:
        raise refusal(str(error), network.inputs) from error
    _refuse_state(model)
    return model


def _refuse_state(model: Any) -> None:
    """Refuse variables: the converter writes files with them whose initial values are lost."""
    state = sorted(
        name
        for name in flatbuffer.histogram(model)
        if name in ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")
    )
    if state:
        raise UnsupportedError(
            f"The network keeps state between runs ({', '.join(state)}), which TFLite files lose.",
            "Make the layer stateless, and pass its state in and out as tensors.",
        )
