"""The stages of validation: what runs in a worker process, with TensorFlow loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from mlc import targets
from mlc.convert.execute import Reference
from mlc.convert.network import Network
from mlc.data.dataset import Dataset, batches
from mlc.errors import UnverifiableError, first_line
from mlc.targets.target import Emission, Runtime
from mlc.validate import golden
from mlc.validate.compare import as_fed, compare, match, record
from mlc.validate.evidence import Check, Evidence, Latency
from mlc.validate.judge import judge
from mlc.validate.latency import interleave
from mlc.validate.size import Size, measure

__all__ = ["Proof", "Retrained", "prove", "reference", "time_runs"]

_EXAMINED = 4  # batches: enough to see overflows that are usual, few enough for every build


@dataclass(frozen=True)
class Proof:
    """Evidence of one artifact, its size, and whether a time of it would say anything.

    `answers` are its top-1 classes, sample by sample, to compare artifacts with each other.
    """

    evidence: Evidence
    size: Size
    timed: bool
    answers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Retrained:
    """The network was trained before it was written: artifacts answer as it does then.

    `references` holds its own outputs, as `reference` wrote them; None where it is not at hand.
    """

    digest: str
    references: Path | None


def reference(folder: Path, network: Network, dataset: Dataset, cases: int) -> int:
    """Run the network itself on all samples; its outputs, and `cases` golden ones, go to `folder`.

    Returns how many batches.
    """
    original = Reference(network)
    golden.record_cases(original, network, dataset, cases, folder / golden.FOLDER)
    return record(original, network, dataset, folder)


def prove(
    folder: Path,
    target: str,
    emission: Emission,
    network: Network,
    dataset: Dataset,
    references: Path,
    retrained: Retrained | None = None,
) -> Proof:
    """Open an artifact from disk, run every sample and judge. What cannot run is *not verified*."""
    size = measure(emission.path)
    try:
        with closing(targets.target(target).open(emission.path)) as runtime:
            run = partial(_run, emission, network, dataset, references, retrained)
            evidence, answers = run(runtime)
            names = match(network.inputs, runtime.inputs, "input")
            first = islice(batches(dataset, network), _EXAMINED)
            samples = [as_fed(feeds, names, runtime) for feeds, _ in first]
        findings = targets.examine(target, emission.path, samples)
        checks = (Check(f.name, f.state, f.detail, f.warnings, f.figures) for f in findings)
        native = _natively(target, emission.path, run)
        evidence = replace(evidence, checks=(*evidence.checks, *checks), native=native)
        return Proof(evidence, size, runtime.timed or _usable(native), answers)
    except UnverifiableError as error:
        return Proof(Evidence(reason=str(error)), size, timed=False)


def _run(
    emission: Emission,
    network: Network,
    dataset: Dataset,
    references: Path,
    retrained: Retrained | None,
    runtime: Runtime,
) -> tuple[Evidence, tuple[int, ...]]:
    comparison = compare(runtime, network, dataset, references)
    checks = judge(comparison, emission.weights, emission.activations, bool(retrained))
    if retrained:
        checks += _conversion(runtime, emission, network, dataset, retrained)
    evidence = Evidence(
        runtime=runtime.name,
        parity=comparison.parity,
        accuracy=comparison.accuracy,
        golden=golden.measure(runtime, network, references / golden.FOLDER),
        checks=checks,
    )
    return evidence, comparison.answers


def _natively(
    target: str, path: Path, run: Callable[[Runtime], tuple[Evidence, tuple[int, ...]]]
) -> Evidence | None:
    """The same once more in the format's own runtime, on a host that has it."""
    try:
        runtime = targets.native(target, path)
        if runtime is None:
            return None
        with closing(runtime):
            return run(runtime)[0]
    except UnverifiableError as error:
        return Evidence(targets.title(target), reason=str(error))
    except Exception as error:  # what it raises about an artifact that it does not take is its own
        return Evidence(targets.title(target), failure=first_line(error))


def _usable(native: Evidence | None) -> bool:
    return native is not None and not native.failure and not native.reason


def _conversion(
    runtime: Runtime,
    emission: Emission,
    network: Network,
    dataset: Dataset,
    retrained: Retrained,
) -> tuple[Check, ...]:
    """Whether the artifact answers as the trained network does: training must not hide a wrong one."""
    if retrained.references is None:
        why = "the network was trained when it was built; only the original is here to compare with"
        return (Check("conversion", "not verified", why),)
    own = compare(runtime, network, dataset, retrained.references)
    checks = judge(own, emission.weights, emission.activations)
    return tuple(
        replace(c, name="conversion", detail=f"against the trained network: {c.detail}")
        for c in checks
        if c.name == "parity"
    )


def time_runs(
    folder: Path, network: Network, dataset: Dataset, artifacts: Mapping[str, Path]
) -> dict[str, Latency]:
    """Time the network and all `artifacts`, by target, on one sample, in turn."""
    feeds, _ = next(batches(dataset, network))
    with ExitStack() as stack:
        others = {}
        for target, path in artifacts.items():
            opened = targets.native(target, path) or targets.target(target).open(path)
            runtime = stack.enter_context(closing(opened))
            names = match(network.inputs, runtime.inputs, "input")
            others[target] = (runtime, as_fed(feeds, names, runtime))
        return interleave(Reference(network), feeds, others)
