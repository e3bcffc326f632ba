"""What the commands of channels print."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mlc.channel.document import BUCKETS, MAIN, Models, Release
from mlc.channel.status import Status
from mlc.report.terminal import size_text, wide_console

__all__ = ["print_models", "print_status"]


def print_status(found: Status) -> None:
    """The releases, then what was verified, with which key, or what is wrong."""
    print_models(found.models)
    console = Console(highlight=False)
    console.print(f"signed by {found.key}", soft_wrap=True)
    for problem in found.problems:
        console.print(Text(f"  {problem}", style="red"), soft_wrap=True)
    if not found.problems:
        console.print(
            f"the signature and {found.files} files ({size_text(found.bytes)}) are verified",
            style="green",
        )


def print_models(models: Models) -> None:
    """One line per release and target, newest first."""
    console = wide_console()
    until = f" · until {models.expires}" if models.expires else ""
    console.print(
        f"[bold]{escape(models.name)}[/]  sequence {models.sequence}{until}", highlight=False
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("version", "users", "variant", "target", "download", "for", "state"):
        table.add_column(column, justify="right" if column in ("users", "download") else "left")
    for release in models.releases:
        live = Text("withdrawn", "magenta") if release.withdrawn else Text("live", "green")
        for variant in release.variants:
            share = "" if variant.share == BUCKETS else f" {variant.share / 100:g}%"
            arm = "" if (variant.name, share) == (MAIN, "") else variant.name + share
            for target, model in variant.targets.items():
                state = (
                    live if model.state == "verified" else live + Text(", not verified", "yellow")
                )
                table.add_row(
                    release.version,
                    f"{release.rollout / 100:g}%",
                    arm,
                    target,
                    size_text(sum(file.bytes for file in model.files)),
                    _audience(release),
                    state,
                )
    console.print(table)


def _audience(release: Release) -> str:
    bounds = (
        ("app ≥", release.minimum_app),
        ("app <", release.below_app),
        ("system ≥", release.minimum_os),
    )
    said = [
        f"{platform} {word} {version}" for word, of in bounds for platform, version in of.items()
    ]
    return ", ".join([*said, *(f"on {condition}" for condition in release.conditions)]) or "all"
