"""Serve the page and a bundle on 127.0.0.1, as the wasm threads of its runtimes need it."""

from __future__ import annotations

import errno
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mlc.demo.page import BUNDLE
from mlc.errors import MachineError

__all__ = ["make_server"]

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


def make_server(page: Path, bundle: Path, port: int) -> ThreadingHTTPServer:
    """A server of 127.0.0.1, not yet running; port 0 takes a free one.

    Raises `MachineError` where the port is taken.
    """
    handler = partial(_Handler, directory=str(page), bundle=bundle)
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise MachineError(
            f"Port {port} of this machine cannot be used: {error.strerror}.",
            "Give another one with --port.",
        ) from error


class _Handler(SimpleHTTPRequestHandler):
    """The page at /, the bundle at /bundle/."""

    protocol_version = "HTTP/1.1"
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, **_TYPES}  # noqa: RUF012

    def __init__(self, *arguments: object, directory: str, bundle: Path) -> None:
        self._bundle = bundle
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]

    def translate_path(self, path: str) -> str:
        prefix = f"/{BUNDLE}/"
        if not path.startswith(prefix):
            return super().translate_path(path)
        page, self.directory = self.directory, str(self._bundle)
        try:
            return super().translate_path(path[len(prefix) - 1 :])
        finally:
            self.directory = page

    def end_headers(self) -> None:
        # Isolated from other origins: only then browsers give shared memory, so threads, to wasm.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header(
            "Cache-Control", "no-cache"
        )  # a bundle that is built again is seen at once
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Silent: the browser's own tools show requests."""
