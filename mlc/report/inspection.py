"""What `mlc inspect` prints."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mlc.inspection import Inspection
from mlc.report.terminal import size_text

__all__ = ["print_inspection", "to_json"]


def to_json(found: Inspection) -> dict[str, Any]:
    """Plain data for --json."""
    return {"file": found.path.name, **asdict(found.summary), "size": asdict(found.size)}


def print_inspection(found: Inspection) -> None:
    """Inputs and outputs, then the ops by count."""
    console, summary = Console(highlight=False), found.summary
    console.print(
        f"[bold]{escape(found.path.name)}[/]  {escape(summary.format)} · "
        f"{summary.parameters:,} parameters, mostly {summary.weights} · "
        f"{size_text(found.size.raw)} ({size_text(found.size.gzip)} gzip)"
    )
    for title, specs in (("input", summary.inputs), ("output", summary.outputs)):
        for spec in specs:
            console.print(f"  {title:6}  {escape(str(spec))}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), header_style="dim")
    table.add_column("op")
    table.add_column("count", justify="right")
    for op, count in sorted(summary.ops.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(escape(op), f"{count:,}")
    console.print(table)
    for key, value in sorted(summary.metadata.items()):
        shown = value if len(value) <= 100 else value[:99] + "…"
        console.print(f"  [dim]{escape(key)}[/]  {escape(shown)}")
