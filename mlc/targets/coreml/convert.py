"""Call coremltools' converter, and say in one sentence why when it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlc.convert.network import Network
from mlc.errors import MlcError, UnsupportedError
from mlc.targets.coreml.interface import LABEL, Interface, input_types
from mlc.targets.coreml.lean import lean
from mlc.targets.coreml.quiet import quiet

__all__ = ["convert", "refuse_unknown_ops"]


def convert(
    graph_def: Any,
    network: Network,
    interface: Interface,
    ios: int,
    half: Callable[[Any], bool] | None,
    last: Callable[[Any], None],
) -> Any:
    """GraphDef, already rewritten → coremltools' model of an ML Program.

    Ops of which `half` says so compute in float16, and so do their weights; without it all is float32.
    Inputs and outputs are float32 or int32 always, so that one app fits every precision. `last` is given
    coremltools' program before it is written, and may change it.
    """
    import numpy as np

    with quiet():
        import coremltools as ct

        classifier = None
        if interface.labels:
            classifier = ct.ClassifierConfig(
                list(interface.labels),
                predicted_feature_name=LABEL,
                predicted_probabilities_output=network.outputs[0].name,
            )
        floats = {s.name for s in network.outputs if s.dtype.startswith(("float", "bfloat"))}
        outputs = [
            ct.TensorType(name=s.name, dtype=np.float32 if s.name in floats else np.int32)
            for s in network.outputs
        ]
        try:
            with lean(graph_def) as source:
                return ct.convert(
                    source,
                    source="tensorflow",
                    convert_to="mlprogram",
                    inputs=input_types(network, interface),
                    outputs=outputs,
                    classifier_config=classifier,
                    minimum_deployment_target=ct.target[f"iOS{ios}"],
                    compute_precision=(
                        ct.transform.FP16ComputePrecision(half) if half else ct.precision.FLOAT32
                    ),
                    skip_model_load=True,
                    pass_pipeline=_passes(last),
                )
        except MlcError:
            raise
        except Exception as error:  # whatever it is, coremltools cannot convert this network
            reason = str(error).strip().split("\n")[0][:300]
            raise UnsupportedError(
                f"coremltools cannot convert this network: {type(error).__name__}: {reason}",
                "Leave Core ML out with --targets, or replace the layer that it names.",
            ) from error


def _passes(last: Callable[[Any], None]) -> Any:
    """The stock passes, but for one that is wrong in coremltools 9.0, and then `last`.

    `fuse_elementwise_to_batchnorm` turns a multiplication and an addition per channel into a `batch_norm`
    of variance 1 and forgets that its epsilon is 1e-5 by default: every such op scales by 0.999995, and
    the 62 of DenseNet121 add up to an error of 1.7e-4 of the output's span.

    `fuse_activation_silu` is one of those that come later by default. What `last` sees are whole ops.
    """
    import coremltools as ct
    from coremltools.converters.mil.mil.passes.graph_pass import AbstractGraphPass
    from coremltools.converters.mil.mil.passes.pass_registry import register_pass

    class Last(AbstractGraphPass):  # type: ignore[misc]
        def apply(self, program: Any) -> None:
            last(program)

    register_pass(namespace="mlc", override=True, name="last")(Last)
    passes = ct.PassPipeline()
    passes.remove_passes({"common::fuse_elementwise_to_batchnorm"})
    passes.append_pass("mil_backend::fuse_activation_silu")
    passes.append_pass("mlc::last")
    return passes


def refuse_unknown_ops(graph_def: Any) -> None:
    """Name all ops that the converter does not know, before it stumbles over the first."""
    with quiet():
        # Importing the package fills the registry.
        from coremltools.converters.mil.frontend import tensorflow2  # noqa: F401
        from coremltools.converters.mil.frontend.tensorflow.tf_op_registry import _TF_OPS_REGISTRY

    functions = graph_def.library.function
    used = {n.op for n in graph_def.node} | {n.op for f in functions for n in f.node_def}
    unknown = sorted(used - {"NoOp", "Assert"} - set(_TF_OPS_REGISTRY))
    if unknown:
        raise UnsupportedError(
            f"Core ML has no equivalent of {', '.join(unknown)}.",
            "Leave Core ML out with --targets, or replace the layer that uses it.",
        )
