"""The command of the web demo: parse, call, print. `mlc/cli.py` adds it to the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlc.errors import UsageError

__all__ = ["demo"]


def demo(
    bundle: Annotated[Path, typer.Argument(help="Folder that mlc build wrote.")] = Path("dist"),
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve it on 127.0.0.1 until Ctrl-C.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes a free one.")
    ] = 8000,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write page and bundle for any static host."),
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option(metavar="URL", help="With -o: where the page looks for newer models."),
    ] = None,
    public_key: Annotated[
        str | None,
        typer.Option(help="With --channel: its key, as `mlc channel keygen` prints it."),
    ] = None,
) -> None:
    """Show a bundle in the browser: photos, camera, every runtime, self-test, benchmark."""
    from mlc.demo.page import build_page, check_bundle, write_site
    from mlc.demo.serve import make_server

    if not serve and output is None:
        raise UsageError("It was not said what to do.", "Add --serve, or -o FOLDER.")
    if bool(channel) != bool(public_key) or (channel and output is None):
        raise UsageError("Only together: -o, --channel and --public-key.", "Give all three.")
    if output is not None:
        write_site(bundle, output, channel, public_key or "")
        typer.echo(f"The page is in {output}: copy it to any static host.")
    if serve:
        check_bundle(bundle)
        with make_server(build_page(), bundle.resolve(), port) as server:
            typer.echo(f"http://127.0.0.1:{server.server_port}/ shows {bundle}. Ctrl-C ends it.")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                typer.echo()
