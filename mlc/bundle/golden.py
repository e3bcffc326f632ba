"""golden/ in a bundle: inputs, what the original network answers, and how far each artifact may be off.

A device runs the artifact with other kernels than the host that measured it, so an output may be off by

    tolerance = 2 × error + headroom × span

where `error` is the largest one that this artifact made on these cases here, `span` is highest − lowest
value of that output over all samples of the build, and `headroom` is what another runtime may add: 1 %
for float kernels, since GPUs compute in float16, which by itself is off by up to 0.2 %; 2 % for integer
kernels, which may round each layer's result to the neighbouring step.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlc.report.report import Report, Row
from mlc.validate.golden import CASES, FOLDER, read_cases

__all__ = ["GOLDEN", "write_golden"]

GOLDEN = f"{FOLDER}/golden.json"
FORMAT = 1

_MARGIN = 2.0
_HEADROOM = {"float32": 0.01, "float16": 0.01, "int16": 0.01, "int8": 0.02}  # by the activations


def write_golden(cases: Path, report: Report, bundle: Path) -> None:
    """Copy the `cases` that were recorded into a bundle, with tolerance and answers of every artifact."""
    rows = read_cases(cases)
    if not rows:
        return
    shutil.copytree(cases, bundle / FOLDER, ignore=shutil.ignore_patterns(CASES))
    golden = {
        "format": FORMAT,
        "cases": rows,
        "artifacts": {row.target: facts for row in report.rows if (facts := _artifact(row))},
    }
    text = json.dumps(golden, indent=1, sort_keys=True, ensure_ascii=False)
    (bundle / GOLDEN).write_text(text, encoding="utf-8")


def _artifact(row: Row) -> Mapping[str, Any] | None:
    """What a device is held to; None for what failed, or was not run."""
    golden, parity = row.evidence.golden, row.evidence.parity
    if row.level == "failed" or not (golden and parity and row.emission):
        return None
    headroom = _HEADROOM[row.emission.activations]
    return {
        "file": row.file,
        "tolerance": {
            o.name: _MARGIN * golden.errors[o.name] + headroom * o.span for o in parity.outputs
        },
        "top1": list(golden.top1),
    }
