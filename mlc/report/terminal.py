"""The report as a table for people, and the progress of the stages above it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mlc.progress import Advance
from mlc.report.download import Download
from mlc.report.report import Level, Report, Row
from mlc.validate.evidence import Evidence

__all__ = ["Progress", "download_lines", "print_report", "size_text", "wide_console"]

# The table is not squeezed into less: a narrow terminal folds it, a file or CI log shows it whole.
_TABLE_WIDTH = 112

_STYLE: dict[Level, str] = {
    "verified": "green",
    "emitted": "yellow",
    "regressed": "magenta",
    "failed": "red",
    "skipped": "dim",
}
_WORDS: dict[Level, str] = {
    "verified": "✓ verified",
    "emitted": "? unproven",
    "regressed": "▼ over limit",
    "failed": "✗ failed",
    "skipped": "skipped",
}


class Progress:
    """One line per finished stage, and a spinner naming those that run. State: what runs now."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._running: list[str] = []
        self._advances: dict[str, Advance] = {}
        self._status = console.status("")
        self._lock = threading.Lock()

    def started(self, title: str) -> None:
        """Add a stage to the spinner."""
        with self._lock:
            self._running.append(title)
            self._show()

    def advanced(self, title: str, advance: Advance) -> None:
        """Show a bar and the news of a stage that takes long."""
        with self._lock:
            if title in self._running:
                self._advances[title] = advance
                self._show()

    def finished(self, title: str, seconds: float, cached: bool) -> None:
        """Print the stage and its time; cached ones are not worth a line."""
        with self._lock:
            if title in self._running:
                self._running.remove(title)
                self._advances.pop(title, None)
            if not cached:
                self._console.print(f"  [dim]{seconds:6.1f} s[/]  {escape(title)}", highlight=False)
            self._show()

    def _show(self) -> None:
        line = Table.grid(padding=(0, 1))
        cells: list[RenderableType] = [Text(", ".join(self._running[:3]), style="dim")]
        for advance in list(self._advances.values())[:1]:
            cells += [ProgressBar(1.0, advance.share, width=24), Text(advance.news, style="dim")]
        line.add_row(*cells)
        self._status.update(line)

    def __enter__(self) -> Progress:
        self._status.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._status.__exit__(kind, error, traceback)


def wide_console() -> Console:
    """A console on stdout with room for the table, whatever stdout is."""
    console = Console()
    return console if console.width >= _TABLE_WIDTH else Console(width=_TABLE_WIDTH)


def print_report(report: Report, console: Console) -> None:
    """The head, the table, what to know about each row, and where things are."""
    network = report.network
    console.print()
    console.print(
        f"[bold]{escape(network.description.name)}[/]  {escape(network.provenance.file)} · "
        f"{escape(network.provenance.kind)} · {network.parameters:,} parameters · "
        f"{size_text(report.source_bytes)}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"compared on {escape(report.data)}", style="dim", highlight=False, soft_wrap=True
    )
    console.print(_table(report))
    original = next((r.evidence.accuracy for r in report.rows if r.evidence.accuracy), None)
    if original:
        console.print(
            f"original: accuracy {_share(original.original, original.original_interval)} "
            f"on n = {original.samples:,} labelled samples (95 % interval)",
            highlight=False,
            soft_wrap=True,
        )
    for row in report.rows:
        for line, style in _remarks(row):
            label = f"{row.target}: " if row.target else ""
            console.print(Text(f"  {label}{line}", style=style), soft_wrap=True)
    for phase in report.training:
        console.print(Text(f"  {phase}", style="dim"), soft_wrap=True)
    for note in report.notes:
        console.print(Text(f"  {note}", style="yellow"), soft_wrap=True)
    for told in download_lines(report.downloads):
        console.print(told, soft_wrap=True)
    if any(step.change is not None for step in report.steps[:1]):
        console.print(_passes(report))
    if report.bundle:
        console.print(f"\nbundle: {escape(report.bundle)}", highlight=False, soft_wrap=True)


def download_lines(found: Sequence[Download]) -> list[Text]:
    """What an app's download grows by: a line for all platforms, and one for each hint."""
    if not found:
        return []
    parts = [
        f"{d.platform} {size_text(d.bytes)}"
        + (f" ({d.target}, {d.packed})" if d.platform == "web" else "")
        for d in found
    ]
    lines = [Text(f"  an app's download grows by: {' · '.join(parts)}", style="dim")]
    return lines + [
        Text(f"  {d.target}, {d.platform}: {d.hint}", style="yellow") for d in found if d.hint
    ]


def _passes(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("pass", no_wrap=True)
    for column in ("ops before", "after", "change of output", "SQNR gained"):
        table.add_column(column, justify="right", no_wrap=True)
    for step in report.steps:
        gain = "" if step.gain is None else f"{step.gain:+.1f} dB"
        change = "—" if step.change is None else f"{step.change:.1e}"
        table.add_row(step.name.replace("_", " "), str(step.before), str(step.after), change, gain)
    return table


def size_text(count: float) -> str:
    """Bytes as people write them, in decimal units as app stores count."""
    for unit in ("B", "kB"):
        if round(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} MB"


def _table(report: Report) -> Table:
    accuracy = any(row.evidence.accuracy for row in report.rows)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("target", no_wrap=True)
    table.add_column("precision", no_wrap=True)
    mutual = any(row.evidence.mutual for row in report.rows)
    left_out = {"top-1": not accuracy, "mutual": not mutual}
    for column in (
        "size",
        "gzip",
        "×src",
        "agree",
        "mutual",
        "top-1",
        "max err",
        "SQNR",
        "latency",
    ):
        if not left_out.get(column):
            table.add_column(column, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for row in report.rows:
        table.add_row(*_cells(row, report, accuracy, mutual))
        if (native := row.evidence.native) is not None:
            again = replace(row, target=f"  in {native.runtime}", size=None, evidence=native)
            table.add_row(*_cells(again, report, accuracy, mutual)[:-1], "")
    return table


def _cells(row: Row, report: Report, with_accuracy: bool, with_mutual: bool) -> list[str | Text]:
    size, evidence = row.size, row.evidence
    parity = evidence.parity
    cells: list[str | Text] = [row.target, row.precision]
    cells.append(size_text(size.raw) if size else "—")
    cells.append(size_text(size.gzip) if size else "—")
    cells.append(f"{size.raw / report.source_bytes:.2f}" if size else "—")
    agreement = parity.agreement if parity else None
    cells.append("—" if agreement is None else f"{agreement:.1%}")
    if with_mutual:
        others = evidence.mutual.values()
        cells.append(f"{min(others):.1%}" if others else "—")
    if with_accuracy:
        cells.append(f"{evidence.accuracy.artifact:.1%}" if evidence.accuracy else "—")
    cells.append(f"{parity.worst.max_absolute:.1e}" if parity else "—")
    levels = [o.sqnr_db for o in parity.outputs if o.sqnr_db is not None] if parity else []
    cells.append(f"{min(levels):.0f}" if levels else ("∞" if parity else "—"))
    cells.append(f"{evidence.latency.ratio:.2f}×" if evidence.latency else "—")
    cells.append(Text(_WORDS[row.level], style=_STYLE[row.level]))
    return cells


def _remarks(row: Row) -> list[tuple[str, str]]:
    remarks = _findings(row.evidence)
    if (native := row.evidence.native) is not None:
        remarks += [(f"in {native.runtime}: {line}", style) for line, style in _findings(native)]
    return remarks + [(note, "dim") for note in (row.emission.notes if row.emission else ())]


def _findings(evidence: Evidence) -> list[tuple[str, str]]:
    remarks = []
    if evidence.failure:
        remarks.append((evidence.failure, "red"))
    if evidence.reason:
        remarks.append((f"not verified: {evidence.reason}", "yellow"))
    styles = {"failed": "red", "regressed": "magenta", "not verified": "yellow"}
    remarks += [
        (f"{check.state}: {check.detail}", styles[check.state])
        for check in evidence.checks
        if check.state != "passed"
    ]
    return remarks + [
        (f"warning: {w}", "yellow") for check in evidence.checks for w in check.warnings
    ]


def _share(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.1%} ({interval[0]:.1%}–{interval[1]:.1%})"
