"""Write a network as a Core ML ML Program (`.mlpackage`)."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from mlc.convert.graph import Program
from mlc.convert.network import Network
from mlc.data.dataset import batches
from mlc.data.synthesized import synthesize
from mlc.errors import UsageError
from mlc.optimize.plan import Plan
from mlc.targets.coreml import metadata, package, rewrites
from mlc.targets.coreml.classifier import name_scores
from mlc.targets.coreml.convert import convert, refuse_unknown_ops
from mlc.targets.coreml.float32_ops import Selector
from mlc.targets.coreml.interface import Interface, decide
from mlc.targets.coreml.lower import Lowering
from mlc.targets.coreml.repair import repaired
from mlc.targets.target import Arrays, Calibration, Emission, Options

__all__ = ["emit"]

_AUDITED = 4  # batches


def emit(
    network: Network,
    plan: Plan,
    samples: Calibration | None,
    options: Options,
    path: Path,
) -> Emission:
    """Rewrite what coremltools refuses, convert, compress, and write the same bytes every time.

    The program computes in float16 unless the recipe is float32. Weights become what the plan says from
    iOS 16 on, activations from iOS 17 on (`Lowering`). A float16 program is audited, and the ops that
    float16 spoils stay float32 (`repaired`).
    """
    if options.ios not in range(15, 19):
        raise UsageError(f"There is no iOS {options.ios} target.", "Use --ios 15, 16, 17 or 18.")
    interface = decide(network)
    half = plan.recipe.weights != "float32"
    graph_def, rewritten = rewrites.apply(network, interface, half=half)
    refuse_unknown_ops(graph_def)
    body = Program.of(network).main

    def write(float32_ops: frozenset[str]) -> Emission:
        selector = Selector(float32_ops)
        lowering = Lowering(plan, body, interface, options.ios)
        model = convert(
            graph_def, network, interface, options.ios, selector if half else None, lowering
        )
        if half:
            selector.refuse_unknown(options.coreml_float32_ops)
        model.save(str(path))
        _describe(path, network, interface)
        lowering.verify(path)
        notes = (*interface.notes, *rewritten, *lowering.notes())
        return Emission(path, lowering.weights, lowering.activations, notes)

    if not half:
        return write(frozenset())
    return repaired(write, _audited(network, samples), options.coreml_float32_ops)


def _describe(path: Path, network: Network, interface: Interface) -> None:
    """Names, metadata, and the same bytes for the same content."""
    spec = package.read_spec(path)
    if interface.labels:
        name_scores(spec, network.outputs[0].name)
    metadata.describe(spec, network, preview=interface.preview)
    package.write_spec(path, spec)
    package.normalize(path)


def _audited(network: Network, samples: Calibration | None) -> list[Arrays]:
    """A handful of batches to audit float16 on: the user's, else made up."""
    if samples is not None:
        return list(islice(samples(), _AUDITED))
    size = network.inputs[0].shape[0] if network.inputs and network.inputs[0].shape else 1
    made_up = batches(synthesize(network, _AUDITED * (size or 1)), network)
    return [feeds for feeds, _ in made_up]
