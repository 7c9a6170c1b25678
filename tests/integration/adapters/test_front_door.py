"""What the API says of itself, over a real socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from flotilla.canary_ports import Readiness
from flotilla.outbound.front_door import HttpFrontDoor
from tests.fakes import run_on_thread


@contextmanager
def api(status: int, body: bytes) -> Iterator[str]:
    """An API that says so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/readyz"
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def asked(url: str) -> Readiness:
    return asyncio.run(HttpFrontDoor(url, run_on_thread, seconds=5).readiness())


def test_an_api_that_lacks_nothing_is_ready() -> None:
    with api(200, b'{"status": "ok"}') as url:
        found = asked(url)
    assert found.ready
    assert found.latency_ms is not None


def test_what_is_down_is_named() -> None:
    checks = {"lanes": "ok", "views": "down", "events": "down"}
    with api(503, json.dumps({"checks": checks}).encode()) as url:
        found = asked(url)
    assert (found.ready, found.down, found.why) == (False, ("events", "views"), "status 503")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"checks": 5}'])
def test_an_error_that_says_nothing_is_one_all_the_same(body: bytes) -> None:
    with api(502, body) as url:
        found = asked(url)
    assert (found.ready, found.down, found.why) == (False, (), "status 502")


def test_an_api_that_is_not_there_is_told_and_not_raised() -> None:
    with api(200, b"") as url:
        pass
    found = asked(url)
    assert (found.ready, found.latency_ms) == (False, None)
    assert found.why.startswith("no answer")
