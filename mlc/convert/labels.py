"""Labels: the names of the classes, in the order of the output."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mlc.convert.network import Network
from mlc.errors import UsageError

__all__ = ["check_labels", "label_misfit", "read_labels"]


def read_labels(value: str | os.PathLike[str] | Sequence[str]) -> tuple[str, ...]:
    """Labels from a text file with one per line, or from a list.

    Raises `UsageError` for a missing or empty file, and for what is neither.
    """
    if not isinstance(value, (str, os.PathLike)):
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
            raise UsageError(
                f"The labels are {value!r}.", "Give a text file, or a list of texts in quotes."
            )
        return tuple(value)
    try:
        lines = Path(value).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The labels file {value} cannot be read: {error}.",
            "Give a text file, a label per line.",
        ) from None
    labels = tuple(line.strip() for line in lines if line.strip())
    if not labels:
        raise UsageError(f"The labels file {value} is empty.", "Write one label per line.")
    return labels


def check_labels(network: Network) -> None:
    """The labels must count as many as the network has classes; raises `UsageError`."""
    if misfit := label_misfit(len(network.labels), network):
        raise UsageError(f"There are {misfit[0]}", misfit[1])


def label_misfit(count: int, network: Network) -> tuple[str, str] | None:
    """Why so many labels cannot be those of the network's classes, and what to do; None if they can."""
    if not count or len(network.outputs) != 1:
        return None
    (output,) = network.outputs
    columns = output.shape[-1] if output.shape else None
    classes = 2 if columns == 1 else columns
    if classes is None or count in (classes, columns):
        return None
    background = abs(count - classes) == 1 and classes > 2
    return (
        f"{count} labels, but {output.name!r} has {classes} classes.",
        f"{'Drop' if count > classes else 'Add'} the label of the background."
        if background
        else "Give the labels this network was trained with.",
    )
