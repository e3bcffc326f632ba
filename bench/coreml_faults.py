"""Plant every kind of fault in Core ML packages of trained networks, and see what mlc says.

    python bench/coreml_faults.py [--output docs/coreml_faults.md] [--only WORD]

The faults and the networks are those of tests/targets/coreml/faults; MLPerf Tiny's networks are added
where ../shared/data has them. The faults of compressed weights go into compressed packages of `digits`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.targets.coreml.faults.catalogue import FAULTS
from tests.targets.coreml.faults.subjects import COMPRESSIONS, SOURCES, TRAINED, make
from tests.targets.coreml.faults.trial import Patient, Trial

HEAD = """\
# Faults planted in Core ML packages

Made by `python bench/coreml_faults.py --output docs/coreml_faults.md`. Each fault is written into a copy
of a healthy saved package (its protobuf or its weight file); the copy is then judged by what `mlc
validate` runs. A number is how far outputs are from the network's, as a share of their span in float32
packages and in dB (SQNR) in others, *as a second executor computes it that shares nothing with the
evaluator*.

- **✓** failed: mlc says that the artifact is wrong. **✓ refused**: *not verified*, with the reason: the
  program contradicts itself, so it is not executed (or the second executor refuses it, where a number
  is missing).
- **·** passed, because the data cannot show it or compression may lose as much; why is said below.
- empty: the network has nothing of the kind.

In compressed packages "w" is the SQNR of the worst weight, decoded from the saved file and compared with
the package before compression: a wrong weight stands out there also where outputs tolerate it.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--only", default="", help="part of a package's name")
    options = parser.parse_args()
    names = [*TRAINED, *(name for name, path in SOURCES.items() if path.exists())]
    packages = [f"{name} fp32" for name in sorted(names)] + ["reader fp16", "not_hotdog fp16"]
    compressed = [f"digits {kind}" for kind in COMPRESSIONS]
    results = {name: trials(name) for name in packages if options.only in name}
    small = {name: trials(name) for name in compressed if options.only in name}
    text = "\n".join([HEAD, *table(results), "", *table(small), "", *unseen(results | small)])
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


def trials(name: str) -> dict[str, Trial]:
    """Every fault that can be planted in one package."""
    network, kind = name.split()
    with tempfile.TemporaryDirectory() as folder:
        patient = Patient(make(network, kind, Path(folder), samples=12), Path(folder))
        state, detail = patient.judged(patient.subject.emission.path)
        if state != "passed":
            raise SystemExit(f"{name} is ill before any fault is planted: {detail}")
        found = [patient.plant(fault) for fault in FAULTS]
    planted = {trial.fault: trial for trial in found if trial is not None}
    print(name, dict(Counter(t.verdict for t in planted.values())), file=sys.stderr, flush=True)
    if kind in COMPRESSIONS:
        return {name: trial for name, trial in planted.items() if touches_weights(name)}
    return planted


def touches_weights(fault: str) -> bool:
    """Whether a fault is one of compressed weights; the others are planted in float packages."""
    return any(word in fault for word in ("palette", "sparse", "zero points", "scales of"))


def table(results: dict[str, dict[str, Trial]]) -> list[str]:
    lines = [
        f"| fault | {' | '.join(results)} |",
        "|---|" + "---|" * len(results),
    ]
    for fault in FAULTS:
        if any(fault.name in found for found in results.values()):
            cells = [cell(name, found.get(fault.name)) for name, found in results.items()]
            lines.append(f"| {fault.name} | {' | '.join(cells)} |")
    for state in ("caught", "passed"):
        counts = [
            str(sum((t.verdict == "passed") == (state == "passed") for t in found.values()))
            for found in results.values()
        ]
        lines.append(f"| **{state}** | {' | '.join(counts)} |")
    return lines


def cell(package: str, trial: Trial | None) -> str:
    if trial is None:
        return ""
    mark = {"passed": "·", "failed": "✓", "refused": "✓ refused"}[trial.verdict]
    effect = ""
    if trial.effect:
        in_float32 = package.endswith("fp32")
        relative, decibels = trial.effect.relative, trial.effect.sqnr_db
        effect = f" {relative:.0e}" if in_float32 else f" {decibels:.0f} dB"
    weights = "" if trial.weights_db is None else f", w {trial.weights_db:.0f} dB"
    return f"{mark}{effect}{weights}"


def unseen(results: dict[str, dict[str, Trial]]) -> list[str]:
    """Why what passed could pass."""
    lines = ["## What passed, and why", "", "| package | fault | why |", "|---|---|---|"]
    for package, found in results.items():
        for trial in found.values():
            if trial.verdict == "passed":
                why = trial.unseen or f"within what this precision may lose: {trial.detail}"
                lines.append(f"| {package} | {trial.fault} | {why} |")
    return lines


if __name__ == "__main__":
    main()
