"""All that a build or validation found, ready to be shown: the input of every file in this room."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from mlc.convert.network import Network
from mlc.errors import Exit
from mlc.optimize.optimize import Step
from mlc.optimize.training.record import Trained
from mlc.report.download import Download, downloads
from mlc.targets.target import Emission
from mlc.validate.evidence import Evidence
from mlc.validate.size import Size

__all__ = ["Level", "Report", "Row"]

Level = Literal["verified", "emitted", "regressed", "failed", "skipped"]


@dataclass(frozen=True)
class Row:
    """One artifact. `level` is the worst of its checks:

    * `verified`: executed, compared, within every limit;
    * `emitted`: written, but *not verified*, and `evidence.reason` says why;
    * `regressed`: right, but it breaks a limit that the user set;
    * `failed`: wrong, or it could not be written; `evidence.reason` says why;
    * `skipped`: not attempted.
    """

    target: str
    level: Level
    emission: Emission | None = None
    size: Size | None = None
    sha256: str = ""
    evidence: Evidence = field(default_factory=Evidence)
    file: str = ""  # inside the bundle

    @property
    def precision(self) -> str:
        """What the artifact really holds; empty where there is none."""
        return self.emission.precision if self.emission else ""


@dataclass(frozen=True)
class Report:
    """A build or a validation: what was compared, on what, and every artifact's row."""

    network: Network
    source_bytes: int
    recipe: str
    data: str
    labelled: bool
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    bundle: str = ""
    steps: tuple[Step, ...] = ()  # what each pass did to the network
    training: tuple[Trained, ...] = ()  # what was trained before anything was written

    @property
    def exit_code(self) -> Exit:
        """`FAILED` before `GATE` before `OK`: a wrong artifact is worse than a large one."""
        levels = {row.level for row in self.rows}
        if "failed" in levels:
            return Exit.FAILED
        return Exit.GATE if "regressed" in levels else Exit.OK

    @property
    def downloads(self) -> tuple[Download, ...]:
        """What an app's download grows by, for every artifact that can be shipped."""
        usable = [row for row in self.rows if row.level != "failed"]
        return downloads((row.target, row.size) for row in usable if row.size)

    def to_json(self) -> dict[str, Any]:
        """Plain data for report.json and --json."""
        return {
            "source": asdict(self.network.provenance) | {"bytes": self.source_bytes},
            "network": {
                "name": self.network.description.name,
                "inputs": [asdict(s) for s in self.network.inputs],
                "outputs": [asdict(s) for s in self.network.outputs],
                "parameters": self.network.parameters,
                "classifier": self.network.is_classifier,
            },
            "recipe": self.recipe,
            "data": {"title": self.data, "labelled": self.labelled},
            "notes": list(self.notes),
            "passes": [asdict(step) for step in self.steps],
            "training": [asdict(phase) for phase in self.training],
            "artifacts": [_row(row) for row in self.rows],
            "downloads": [asdict(d) for d in self.downloads],
            "exit_code": int(self.exit_code),
        }


def _row(row: Row) -> dict[str, Any]:
    return {
        "target": row.target,
        "state": row.level,
        "file": row.file,
        "sha256": row.sha256,
        "weights": row.emission.weights if row.emission else None,
        "activations": row.emission.activations if row.emission else None,
        "io": row.emission.io if row.emission else None,
        "notes": list(row.emission.notes) if row.emission else [],
        "size": asdict(row.size) if row.size else None,
        **asdict(row.evidence),
    }
