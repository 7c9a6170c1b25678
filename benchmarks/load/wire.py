"""HTTP/1.1 over a fixed number of connections, at a fraction of what a general client's pool costs.

A pool that looks through all its connections for each request costs more processor time than everything else that a
harness does; here a request takes a free connection from a queue. Nothing is sent twice: what became of a request whose
connection broke is for the caller to find out.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import h11

_READ_BYTES = 65_536


class NoAnswerError(Exception):
    """The request may have been carried out or not; the message says in a word what happened."""


class Answer:
    """An HTTP answer.

    Attributes:
        headers: By lower-case name.
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Wire:
    """Connections to one deployment; use as an async context manager.

    Args:
        url: Where `/v1` begins, without a slash at the end.
        headers: Sent with each request.
        connections: At the most; further requests wait their turn.
        seconds: What has not answered by then does not answer.
    """

    def __init__(self, url: str, headers: Mapping[str, str], *, connections: int, seconds: float = 35.0) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._host, self._path = parts.hostname, parts.path
        secure = parts.scheme == "https"
        self._port = parts.port or (443 if secure else 80)
        self._tls = ssl.create_default_context() if secure else None
        self._headers = [("host", parts.netloc), ("accept", "application/json"), *headers.items()]
        self._seconds = seconds
        self._free: asyncio.LifoQueue[_Connection | None] = asyncio.LifoQueue()
        for _ in range(connections):
            self._free.put_nowait(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while not self._free.empty():
            connection = self._free.get_nowait()
            if connection is not None:
                connection.close()

    async def request(
        self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Make a request once.

        Raises:
            NoAnswerError: There was no whole answer in time.
        """
        connection = await self._free.get()
        kept = None
        try:
            async with asyncio.timeout(self._seconds):
                connection = connection or await self._connect()
                lines = [*self._headers, ("content-length", str(len(body))), *(headers or {}).items()]
                answer = await connection.exchange(method, self._path + path, lines, body)
            kept = connection if connection.made_ready() else None
            return answer
        except TimeoutError:
            raise NoAnswerError("timeout") from None
        except (OSError, asyncio.IncompleteReadError, h11.ProtocolError) as error:
            raise NoAnswerError(type(error).__name__) from error
        finally:
            if kept is None and connection is not None:
                connection.close()
            self._free.put_nowait(kept)

    async def _connect(self) -> _Connection:
        reader, writer = await asyncio.open_connection(
            self._host, self._port, ssl=self._tls, server_hostname=self._host if self._tls else None
        )
        return _Connection(reader, writer)


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._state = h11.Connection(h11.CLIENT)

    def made_ready(self) -> bool:
        """Make it ready for another request; False where it takes none."""
        if self._state.our_state is not h11.DONE or self._state.their_state is not h11.DONE:
            return False
        self._state.start_next_cycle()
        return True

    def close(self) -> None:
        """Let it go; whoever is at the other end may not hear of it."""
        self._writer.close()

    async def exchange(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
        """Send a request and read its answer."""
        sent = self._state.send(h11.Request(method=method, target=path, headers=headers)) or b""
        sent += self._state.send(h11.Data(data=body)) or b""
        sent += self._state.send(h11.EndOfMessage()) or b""
        self._writer.write(sent)
        await self._writer.drain()
        head: h11.Response | None = None
        parts: list[bytes] = []
        while True:
            event = self._state.next_event()
            if event is h11.NEED_DATA:
                self._state.receive_data(await self._reader.read(_READ_BYTES))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionResetError
        assert head is not None
        lower = {name.decode().lower(): value.decode("latin-1") for name, value in head.headers}
        return Answer(head.status_code, lower, b"".join(parts))
