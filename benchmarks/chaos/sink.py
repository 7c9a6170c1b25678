"""The world outside: an HTTP server on loopback that counts effects by their idempotency key."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_args: Any) -> None:
        """Say nothing: whoever posts may be killed while doing it."""


class Sink:
    """Takes POSTs while it is entered; remembers each key's first arrival.

    Attributes:
        posts: How many POSTs came, repeats included.
    """

    def __init__(self) -> None:
        self.posts = 0
        self._order: dict[str, int] = {}
        self._lock = threading.Lock()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                sink._take(self.headers["Idempotency-Key"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_args: Any) -> None:
                """Say nothing: thousands come."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="sink")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where to post."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/effects"

    def order(self) -> dict[str, int]:
        """Each key that came, with its rank by first arrival."""
        with self._lock:
            return dict(self._order)

    def _take(self, key: str) -> None:
        with self._lock:
            self.posts += 1
            self._order.setdefault(key, len(self._order))
