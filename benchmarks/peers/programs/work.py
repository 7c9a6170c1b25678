"""The two workloads, the same for every peer: note the task's key and end, or wait for a server that takes 200 ms.

A note is one short append to a file, so that it counts what was run outside of whatever runs it. The server counts the
requests that come to it.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import time
from functools import cache
from urllib.parse import urlsplit

IO, NOTE = "io", "note"
_SECONDS = 5.0


def run(workload: str, key: str) -> None:
    """Run a task in a process or a thread of its own."""
    if workload == IO:
        parts = urlsplit(os.environ["PEERS_SINK"])
        connection = http.client.HTTPConnection(parts.netloc, timeout=_SECONDS)
        try:
            connection.request("POST", parts.path, headers={"Idempotency-Key": key})
            connection.getresponse().read()
        finally:
            connection.close()
    _note(key)


async def run_async(workload: str, key: str) -> None:
    """Run a task on an event loop."""
    if workload == IO:
        parts = urlsplit(os.environ["PEERS_SINK"])
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nIdempotency-Key: {key}\r\n"
            writer.write(f"{head}Content-Length: 0\r\n\r\n".encode())
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _SECONDS)
        finally:
            writer.close()
    _note(key)


def _note(key: str) -> None:
    # One write of less than a page to a file opened for appending: processes do not mix theirs.
    os.write(_notes(), f"{key} {time.time() * 1000:.3f}\n".encode())  # noqa: TID251 - one clock for all processes


@cache
def _notes() -> int:
    return os.open(os.environ["PEERS_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
