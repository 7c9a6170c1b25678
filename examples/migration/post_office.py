"""A post office on this machine, which drops what it has seen: `python -m examples.migration.post_office`.

`POST /letters` takes an answer, `GET /letters` lists what was taken. Two with the same `Idempotency-Key` are one.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

PORT = 8025


class PostOffice(ThreadingHTTPServer):
    """Listens on loopback.

    Args:
        port: Where; 0 takes any.

    Attributes:
        taken: The answers by their keys.
        handed_in: How often one was handed in.
    """

    daemon_threads = True

    def __init__(self, port: int = PORT) -> None:
        super().__init__(("127.0.0.1", port), _Counter)
        self.taken: dict[str, dict[str, Any]] = {}
        self.handed_in = 0
        self._one_at_a_time = Lock()

    def take(self, key: str, answer: dict[str, Any]) -> bool:
        """Take an answer; False where it was taken before."""
        with self._one_at_a_time:
            self.handed_in += 1
            new = key not in self.taken
            self.taken.setdefault(key, answer)
            return new


class _Counter(BaseHTTPRequestHandler):
    server: PostOffice
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        answer = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        new = self.server.take(self.headers.get("Idempotency-Key", ""), answer)
        self._say(201 if new else 200, {"letter": answer.get("letter")})
        sys.stderr.write(f"{answer.get('letter')}: {'taken' if new else 'seen before'}\n")

    def do_GET(self) -> None:
        self._say(200, list(self.server.taken.values()))

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - named by the library
        """Nothing is said of requests as such."""

    def _say(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    PostOffice().serve_forever()
