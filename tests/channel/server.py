"""A static host on 127.0.0.1 that can be told to fail as hosts and networks do."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

__all__ = ["Fault", "Host", "host"]

Kind = Literal["flip", "cut", "stall", "drip", "reset", "endless", "status", "without etag"]

_TYPES = {".html": "text/html", ".js": "text/javascript"}  # browsers ask for them


@dataclass(frozen=True)
class Fault:
    """What goes wrong with every request whose path matches.

    * `flip`: one bit of the body is another, the length is right;
    * `cut`: half of the body, with the Content-Length of the whole;
    * `stall`: half of the body, and then nothing, while the connection stays open;
    * `drip`: all of the body in six pieces, a third of a second between them;
    * `reset`: the connection ends without an answer;
    * `endless`: ten times the body, without a Content-Length;
    * `status`: an error page;
    * `without etag`: a host that gives none.
    """

    path: str
    kind: Kind
    status: int = 500


class Host:
    """A running server. State: its folder, its faults, and the requests it has seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, int]] = []
        self.stalled = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop, and let go of the requests that were stalled."""
        self.stalled.set()
        self._server.shutdown()
        self._server.server_close()

    def answers(self, part: str) -> list[int]:
        """The status codes of the requests whose path contains `part`."""
        return [status for path, status in self.requests if part in path]


@contextmanager
def host(folder: Path) -> Iterator[Host]:
    """Serve a folder."""
    running = Host(folder)
    try:
        yield running
    finally:
        running.close()


def _handler(of: Host) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            fault = next((f for f in of.faults if re.search(f.path, self.path)), None)
            kind = fault.kind if fault else None
            path = of.folder / urlsplit(self.path).path.lstrip("/")
            self.close_connection = True
            if fault and kind == "status":
                self._answer(fault.status, b"<html>no</html>")
            elif kind == "reset":
                of.requests.append((self.path, 0))
            elif not path.is_file():
                self._answer(404, b"<html>not found</html>")
            else:
                self._file(path.read_bytes(), kind)

        def _file(self, body: bytes, kind: Kind | None) -> None:
            etag = None if kind == "without etag" else f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            if etag and self.headers["If-None-Match"] == etag:
                self._answer(304, b"", etag)
            elif kind == "flip":
                middle = len(body) // 2
                changed = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
                self._answer(200, changed, etag)
            elif kind in ("cut", "stall"):
                self._answer(200, body[: len(body) // 2], etag, length=len(body))
                if kind == "stall":
                    of.stalled.wait(20)
            elif kind == "drip":
                self._answer(200, b"", etag, length=len(body))
                piece = len(body) // 6 + 1
                for start in range(0, len(body), piece):
                    time.sleep(0.33)
                    self.wfile.write(body[start : start + piece])
            elif kind == "endless":
                self._answer(200, body * 10, etag, length=None)
            else:
                self._answer(200, body, etag)

        def _answer(
            self, status: int, body: bytes, etag: str | None = None, length: int | None = -1
        ) -> None:
            of.requests.append((self.path, status))
            self.send_response(status)
            if kind := _TYPES.get(Path(urlsplit(self.path).path).suffix):
                self.send_header("Content-Type", kind)
            if etag:
                self.send_header("ETag", etag)
            if status != 304 and length is not None:
                self.send_header("Content-Length", str(len(body) if length == -1 else length))
            self.send_header("Connection", "close")
            with suppress(OSError):  # the client may have left
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silence: pytest shows what matters."""

    return Handler
