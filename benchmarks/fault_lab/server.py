"""An HTTP server on loopback that answers by a script, on an event loop and thread of its own.

    with FaultServer(Script.named("outage")) as server:
        ...  # server.url; afterwards server.received, server.connections

Speaks HTTP/1.1 with connections that are kept. Whatever it was told to do to a request, it has noted that the request
came. Where the reply names no body of its own, `POST …/chat/completions` is answered as OpenAI-compatible servers do,
and `POST /model/…/converse` as Amazon Bedrock does, by a model that does what it is told (`scripted_model`).
"""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from benchmarks.fault_lab.script import Chosen, Reply, Running, Script
from benchmarks.fault_lab.scripted_model import answer, asked_of_converse, asked_of_openai

_LONGEST_HEAD = 65_536


@dataclass(frozen=True, slots=True)
class Received:
    """One request, as it came.

    Attributes:
        at_seconds: Since the server began.
        headers: Names in lower case.
        status: What it was to be answered; 0 where nothing.
    """

    at_seconds: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class FaultServer:
    """Answers by `script` while it is entered.

    Args:
        script: What to do.
        port: Where to listen; any by default.

    Attributes:
        received: Every request that came whole, in order.
        connections: How many were opened.
    """

    def __init__(self, script: Script, port: int = 0) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.port = port
        self._script = script
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault-server", daemon=True)
        self._ready = threading.Event()
        self._open: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @property
    def url(self) -> str:
        """Its base URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def now_seconds(self) -> float:
        """Now, on the clock that `Received.at_seconds` is of."""
        return self._loop.time() - self._began

    def follow(self, script: Script) -> None:
        """From now on do as `script` says."""

        def begin() -> None:
            self._running = Running(script, self._loop.time())

        self._loop.call_soon_threadsafe(begin)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024))
        self.port = server.sockets[0].getsockname()[1]
        self._began = self._loop.time()
        self._running = Running(self._script, self._began)
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in self._open:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._open, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # whoever called has gone, or the server ends
        finally:
            writer.transport.abort()
            self._open.discard(task)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether another may follow on the same connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head[:-4].split("\r\n")
        method, path, _ = request_line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        now = self._loop.time()
        chosen = self._running.meets(now)
        reply = chosen.reply
        status = 0 if reply.fault in ("stall", "reset") else reply.status
        request = Received(now - self._began, method, path, headers, body, status)
        self.received.append(request)
        return await self._answer(writer, request, chosen)

    async def _answer(self, writer: asyncio.StreamWriter, request: Received, chosen: Chosen) -> bool:
        reply = chosen.reply
        if chosen.latency_ms > 0:
            await asyncio.sleep(chosen.latency_ms / 1000)
        if reply.fault == "reset":
            return False
        if reply.fault == "stall":
            await asyncio.Event().wait()
        body = _body(reply, request)
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **reply.headers}
        head = f"HTTP/1.1 {reply.status} Scripted\r\n" + "".join(f"{name}: {fields[name]}\r\n" for name in fields)
        writer.write(head.encode("latin-1") + b"\r\n")
        if request.method == "HEAD" or reply.status in (204, 304):
            await writer.drain()
            return True
        if reply.fault == "cut":
            writer.write(body[: len(body) // 2])
            await writer.drain()
            with suppress(OSError):
                writer.write_eof()
            return False
        if reply.fault == "drip":
            for position in range(len(body)):
                writer.write(body[position : position + 1])
                await writer.drain()
                await asyncio.sleep(reply.drip_ms / 1000)
            return True
        writer.write(body)
        await writer.drain()
        return True


def _body(reply: Reply, request: Received) -> bytes:
    if reply.body is not None:
        return reply.body
    if reply.status >= 400:
        return json.dumps({"error": {"message": "scripted", "code": reply.status}}).encode()
    if request.method == "POST" and (answered := _answered(request)) is not None:
        return json.dumps(answered).encode()
    seen = {"method": request.method, "path": request.path, "headers": request.headers, "body": request.body.decode()}
    return json.dumps(seen).encode()


def _answered(request: Received) -> dict[str, Any] | None:
    """What a model answers; None where none was asked."""
    path = request.path.partition("?")[0]
    if path.endswith("/chat/completions"):
        asked = request.json()
        return answer(asked_of_openai(asked)).openai(asked.get("model", ""))
    if path.startswith("/model/") and path.endswith("/converse"):
        return answer(asked_of_converse(request.json())).converse()
    return None
