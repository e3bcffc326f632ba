"""What `mlc inspect` prints of a bundle."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mlc.inspection import BundleInspection
from mlc.report.download import downloads
from mlc.report.terminal import download_lines, size_text

__all__ = ["bundle_to_json", "print_bundle"]


def bundle_to_json(found: BundleInspection) -> dict[str, Any]:
    """The manifest, and what an app's download grows by."""
    return {
        "manifest": found.manifest,
        "downloads": [asdict(d) for d in downloads(found.sizes.items())],
    }


def print_bundle(found: BundleInspection) -> None:
    """What is in it, and what it adds to an app."""
    console, manifest = Console(highlight=False), found.manifest
    model, source, golden = manifest["model"], manifest["source"], manifest["golden"]
    console.print(
        f"[bold]{escape(model['name'])} {escape(model['version'])}[/]  bundle of mlc "
        f"{escape(manifest['mlc'])} · {escape(source['file'])} · recipe {escape(manifest['recipe'])}",
        soft_wrap=True,
    )
    for title in ("input", "output"):
        for spec in manifest[f"{title}s"]:
            dims = "×".join("?" if d is None else str(d) for d in spec["shape"])
            console.print(f"  {title:6}  {escape(spec['name'])} {dims} {spec['dtype']}")
    if manifest["classifier"]:
        console.print(f"  labels  {len(manifest['classifier']['labels']):,}")
    console.print(f"  golden  {golden['cases'] if golden else 'no'} cases")
    console.print(f"  interface  {manifest['interface'][:16]}…", soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2), header_style="dim")
    for column in ("target", "file", "state"):
        table.add_column(column)
    table.add_column("size", justify="right")
    for row in manifest["artifacts"]:
        table.add_row(row["target"], escape(row["file"]), row["state"], size_text(row["bytes"]))
    console.print(table)
    for line in download_lines(downloads(found.sizes.items())):
        console.print(line, soft_wrap=True)
