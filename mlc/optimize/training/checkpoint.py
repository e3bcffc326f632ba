"""What a run needs to go on after an interruption."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlc.optimize.training.record import Epoch

__all__ = ["Checkpoint", "forget_checkpoint", "read_checkpoint", "write_checkpoint"]

Array = np.ndarray[Any, np.dtype[Any]]
_FILE = "checkpoint.npz"


@dataclass(frozen=True)
class Checkpoint:
    """After an epoch: how all went, the constants of the best one, and all variables as they are."""

    epochs: Sequence[Epoch]
    kept: int
    values: Mapping[str, Array]
    parameters: Sequence[Array]
    optimizer: Sequence[Array]


def write_checkpoint(state: Checkpoint, folder: Path) -> None:
    """Replace the checkpoint in `folder`, whole or not at all."""
    header = {
        "epochs": [asdict(e) for e in state.epochs],
        "kept": state.kept,
        "values": list(state.values),
        "parameters": len(state.parameters),
    }
    arrays = [*state.values.values(), *state.parameters, *state.optimizer]
    aside = folder / f"writing-{_FILE}"
    np.savez(aside, *arrays, header=np.array(json.dumps(header)))
    os.replace(aside, folder / _FILE)


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Read back what `write_checkpoint` wrote; None where there is nothing."""
    try:
        with np.load(folder / _FILE) as stored:
            header = json.loads(str(stored["header"]))
            arrays = [stored[f"arr_{k}"] for k in range(len(stored.files) - 1)]
    except FileNotFoundError:
        return None
    names, count = header["values"], header["parameters"]
    rest = arrays[len(names) :]
    return Checkpoint(
        epochs=[Epoch(**row) for row in header["epochs"]],
        kept=header["kept"],
        values=dict(zip(names, arrays, strict=False)),
        parameters=rest[:count],
        optimizer=rest[count:],
    )


def forget_checkpoint(folder: Path) -> None:
    """The run is over."""
    (folder / _FILE).unlink(missing_ok=True)
