"""Sessions of onnxruntime that give the same numbers every time on a machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlc.errors import UnverifiableError

__all__ = ["open_session", "run", "written_optimized"]

Array = np.ndarray[Any, np.dtype[Any]]

# The number of threads changes how sums are split, so it is fixed.
THREADS = 2

# Optimizations of onnxruntime that put another formula in the place of ours: its LayerNormalization
# takes the variance as E[x²] - E[x]², which cancels where the mean is large.
_DISABLED = [
    "LayerNormFusion",
    "LayerNormFusionL1",
    "LayerNormFusionL2",
    "SimplifiedLayerNormFusion",
    "SkipLayerNormFusion",
    "BiasSkipLayerNormFusion",
    "EmbedLayerNormFusion",
    "GeluFusion",
    "GeluFusionL1",
    "GeluFusionL2",
    "BiasGeluFusion",
    "FastGeluFusion",
    "GeluApproximation",
    "QuickGeluFusion",
    "BiasSoftmaxFusion",
    "AttentionFusion",
]


def open_session(model: Any) -> Any:
    """A session for an ONNX model, optimized as far as onnxruntime can.

    All levels of optimization give the same numbers with a fixed number of threads; the highest is twice
    as fast for convolutions. None removes a rounding (a pair of casts, to float16 and back): the tests
    check it. Raises `UnverifiableError` if onnxruntime refuses the model.
    """
    return _open(model, _options(), _DISABLED)


def written_optimized(model: Any, to: Path, without: list[str]) -> None:
    """Write what onnxruntime makes of a model for this machine, `without` some of its optimizations."""
    options = _options()
    options.optimized_model_filepath = str(to)
    options.add_session_config_entry("session.disable_prepacking", "1")
    _open(model, options, [*_DISABLED, *without])


def run(session: Any, feeds: Mapping[str, Array]) -> list[Array]:
    """Run; a failure of a kernel names the op and is no verdict on the numbers."""
    wanted = {i.name for i in session.get_inputs()}
    try:
        return list(session.run(None, {n: a for n, a in feeds.items() if n in wanted}))
    except _failures() as error:
        raise UnverifiableError(f"The program cannot be executed on these data: {error}") from error


def _options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # failures come as exceptions
    options.use_deterministic_compute = True
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Waiting in a loop takes the processor from whatever else runs, another session for one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _open(model: Any, options: Any, disabled: list[str]) -> Any:
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=disabled,
        )
    except _failures() as error:
        raise UnverifiableError(f"The lowered program is not valid: {error}") from error


def _failures() -> tuple[type[Exception], ...]:
    """What onnxruntime raises when it refuses a model or a kernel fails. It has no common base class."""
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    return (
        errors.Fail,
        errors.InvalidArgument,
        errors.InvalidGraph,
        errors.NotImplemented,
        errors.RuntimeException,
    )
