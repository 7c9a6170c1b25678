"""One POST request to one checked address, over a connection of its own.

Invariant: the connection goes to an address that was handed in. The host's name is used for `Host` and for TLS (server
name and certificate) and is never resolved here. Nothing is followed, no proxy is asked, no cookie kept. Of the answer
the status line and headers are read, and of those no more than a bound; the body decides nothing and is read only
for courtesy. The caller's timeout holds for all of it together, however slowly bytes drip in.

Not `http.client` or `urllib3`: their timeouts are for each read, and they connect to names. What is needed of HTTP/1.1
to send a body of known length and read a status is less than what it would take to bend them.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache

from flotilla.broadcast import Answer, Target
from flotilla.errors import RetryableError

MAX_ANSWER_BYTES = 65_536

_ADDRESSES = 4
"""No more are tried: a name can have hundreds."""

_INTERIM_ANSWERS = 5
_COURTESY_SECONDS = 1.0
_GOODBYE_SECONDS = 0.5
_READ_BYTES = 8192
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: .*)?")

_FIXED_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": "Flotilla-Webhooks/1.0",
    "Accept": "*/*",
    "Connection": "close",
}


@cache
def _public_authorities() -> ssl.SSLContext:
    return ssl.create_default_context()


class PinnedSender:
    """`WebhookSender` over plain sockets.

    Args:
        tls: Makes (or returns the cached) context that checks certificates and host names.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext] = _public_authorities) -> None:
        self._tls = tls

    async def post(
        self, target: Target, addresses: Sequence[str], headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer:
        """See `WebhookSender.post`."""
        request = _request(target, headers, body)
        timeout = asyncio.timeout(timeout_seconds)
        try:
            async with timeout:
                reader, writer = await self._connect(target, addresses[:_ADDRESSES], timeout_seconds)
                try:
                    return await _exchange(reader, writer, request)
                finally:
                    await _close(writer)
        except TimeoutError as error:
            # The operating system's own timeout is one of these as well.
            why = "no answer in time" if timeout.expired() else "it cannot be reached"
            raise RetryableError(why, code="webhook_timeout") from error
        except ssl.SSLError as error:
            raise RetryableError("TLS failed", code="webhook_tls") from error
        except OSError as error:
            raise RetryableError("it cannot be reached", code="webhook_unreachable") from error
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, _NoAnswerError) as error:
            raise RetryableError("what it answered is not HTTP", code="webhook_answer") from error

    async def _connect(
        self, target: Target, addresses: Sequence[str], timeout_seconds: float
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        failure: OSError = OSError("no address")
        for address in addresses:
            try:
                # Each gets its share, so that one that swallows packets leaves time for the next.
                async with asyncio.timeout(timeout_seconds / len(addresses)):
                    return await asyncio.open_connection(
                        host=address,
                        port=target.port,
                        limit=MAX_ANSWER_BYTES,
                        ssl=self._tls() if target.tls else None,
                        server_hostname=target.host if target.tls else None,
                    )
            except OSError as error:
                failure = error
        raise failure


class _NoAnswerError(Exception):
    """The bytes are no HTTP answer."""


def _request(target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {"Host": target.authority, **_FIXED_HEADERS, **headers, "Content-Length": str(len(body))}
    lines = [f"POST {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    head = "\r\n".join(lines)
    # Whatever made these, no part of them begins a line of its own.
    if not head.isascii() or len(head.splitlines()) != len(lines):
        raise ValueError("a header holds what no header may")
    return f"{head}\r\n\r\n".encode() + body


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> Answer:
    writer.write(request)
    # Not waited for: an endpoint may refuse by its answer before it has read everything.
    for _ in range(_INTERIM_ANSWERS):
        head = await reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head[:-4].split(b"\r\n")
        match = _STATUS_LINE.fullmatch(status_line)
        if match is None:
            raise _NoAnswerError
        status = int(match[1])
        if status >= 200:
            await _drain(reader)
            return Answer(status, _field(lines, b"retry-after"))
    raise _NoAnswerError


def _field(lines: Sequence[bytes], name: bytes) -> str | None:
    for line in lines:
        found, colon, value = line.partition(b":")
        if colon and found.strip().lower() == name:
            return value.strip().decode("latin-1")
    return None


async def _drain(reader: asyncio.StreamReader) -> None:
    """Read on for a moment, so that a server that is still writing does not meet a closed connection."""
    left = MAX_ANSWER_BYTES
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_COURTESY_SECONDS):
            while left > 0 and (read := await reader.read(_READ_BYTES)):
                left -= len(read)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_GOODBYE_SECONDS):
            await writer.wait_closed()
