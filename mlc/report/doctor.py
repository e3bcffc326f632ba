"""What `mlc doctor` prints: is everything here that a build and its proof need?"""

from __future__ import annotations

import platform
import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mlc.errors import MlcError
from mlc.store import cache_folder, tools

__all__ = ["print_doctor"]


def print_doctor() -> int:
    """Print versions and runtimes; returns 0 when nothing is missing, else 5."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    healthy = True
    table.add_row("python", f"{sys.version.split()[0]} on {platform.platform(terse=True)}")
    for name, version in tools().items():
        missing = version == "missing"
        healthy &= not missing
        table.add_row(name, "[red]missing: pip install it[/]" if missing else version)
    try:
        from mlc.node import find_node

        table.add_row("node (runs TF.js)", escape(str(find_node())))
    except MlcError as error:
        healthy = False
        table.add_row("node (runs TF.js)", f"[red]{escape(str(error))}[/]")
    itself = " and Core ML itself" if platform.mac_ver()[0] else ""
    table.add_row("Core ML is run by", f"mlc's evaluator of ML Programs{itself}")
    table.add_row("cache", escape(str(cache_folder())))
    console.print(table)
    return 0 if healthy else 5
