"""What the tasks call: a server on loopback that answers each POST after 200 ms and remembers all of them.

It runs in a process of its own (`python -m benchmarks.peers.sink`), which ends when its standard input does. A request
counts from the moment it comes, whether or not whoever sent it lives to see the answer.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from types import TracebackType
from typing import Any, Self

from benchmarks.peers.tally import Request
from local.instance import REPOSITORY

TAKES_SECONDS = 0.2
_PATH = "/effects"
_ANSWER_SECONDS = 30


class Sink:
    """The server's process, while it is entered."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.sink"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate(timeout=_ANSWER_SECONDS)

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self._port}{_PATH}"

    def requests(self) -> list[Request]:
        """All that came so far."""
        with urllib.request.urlopen(self.url, timeout=_ANSWER_SECONDS) as answer:
            return [Request(*row) for row in json.load(answer)]


class _Server:
    def __init__(self) -> None:
        self._rows: list[list[Any]] = []

    async def serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=512)
        print(server.sockets[0].getsockname()[1], flush=True)
        async with server:
            await asyncio.to_thread(sys.stdin.read)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            if head[0].startswith("GET "):
                await self._answer(writer, json.dumps(self._rows).encode())
            else:
                await self._take(reader, writer, _header(head, "idempotency-key"))
        except (OSError, asyncio.IncompleteReadError):
            pass  # whoever sent it was killed while it did
        finally:
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
        row: list[Any] = [key, _now_ms(), None, False]
        self._rows.append(row)
        try:
            # Nothing more comes from one who lives: what ends this wait early is the end of the connection.
            await asyncio.wait_for(reader.read(1), TAKES_SECONDS)
            row[3] = True
        except TimeoutError:
            await self._answer(writer, b"")
            row[2] = _now_ms()
        except OSError:
            row[3] = True

    async def _answer(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()


def _header(head: list[str], name: str) -> str:
    pairs = (line.partition(":") for line in head[1:])
    return next((value.strip() for found, _, value in pairs if found.lower() == name), "")


def _now_ms() -> float:
    return time.time() * 1000  # noqa: TID251 - one clock for all processes


if __name__ == "__main__":
    asyncio.run(_Server().serve())
