"""HTTP over pooled connections, one pool for each host, by httpx.

Invariant: a connection goes to an address that was checked in this very lookup. The host's name is resolved here, every
address it has must be public (unless the integration is private), and what is connected to is the address, so no second
lookup can tell another (DNS rebinding). Certificates are checked against the name. Nothing is followed, no proxy is
asked, no cookie kept; of an answer no more is read than its bound, unpacked.

A pool for each host, because one that stalls keeps its connections: it must not keep those of others.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from typing import Any
from weakref import WeakKeyDictionary

import httpcore
import httpx

from flotilla.broadcast_ports import Resolver
from flotilla.errors import RetryableError
from flotilla.integration_ports import (
    CrowdedError,
    ForbiddenCallError,
    HttpAnswer,
    HttpBounds,
    HttpRequest,
    NoAnswerError,
    NotSentError,
    UnusableAnswerError,
)
from flotilla.primitives.public_address import why_refused

CONNECTIONS = 64
"""To one host, of one process."""

_IDLE_CONNECTIONS = 16
_IDLE_SECONDS = 20.0
_ADDRESSES = 4
"""No more are tried: a name can have hundreds."""

_GZIP = 16 + zlib.MAX_WBITS


@cache
def _public_authorities() -> ssl.SSLContext:
    return ssl.create_default_context()


class HttpPool:
    """`HttpTransport` over httpx: one client for each event loop.

    Args:
        resolver: The domain name system.
        tls: Makes (or returns the cached) context that checks certificates and host names.
        connections: To one host at the most.
    """

    def __init__(
        self,
        resolver: Resolver,
        tls: Callable[[], ssl.SSLContext] = _public_authorities,
        connections: int = CONNECTIONS,
    ) -> None:
        self._resolver = resolver
        self._tls = tls
        self._connections = connections
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()

    async def send(self, request: HttpRequest, bounds: HttpBounds) -> HttpAnswer:
        """See `HttpTransport.send`."""
        client = self._client()
        timeout = httpx.Timeout(
            connect=bounds.connect_seconds,
            read=bounds.read_seconds,
            write=bounds.read_seconds,
            pool=bounds.connect_seconds,
        )
        with _told_apart():
            made = client.build_request(
                request.method,
                request.origin + request.target,
                headers=[*request.headers, ("accept-encoding", "gzip")],
                content=request.body,
                timeout=timeout,
                extensions={"private": request.private},
            )
            async with _answer(client, made) as answer:
                body = await _body(answer, bounds.body_bytes)
                headers = tuple((name.lower(), value) for name, value in answer.headers.multi_items())
                return HttpAnswer(answer.status_code, headers, body)

    async def aclose(self) -> None:
        """Close the connections of the event loop that runs."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        found = self._clients.get(loop)
        if found is None:
            transport = _PoolForEachHost(self._resolver, self._tls, self._connections)
            # A tenant's cookie must not go along with the next one's call.
            no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
            found = httpx.AsyncClient(transport=transport, trust_env=False, cookies=no_cookies)
            found.headers.clear()
            self._clients[loop] = found
        return found


class _PoolForEachHost(httpx.AsyncBaseTransport):
    def __init__(self, resolver: Resolver, tls: Callable[[], ssl.SSLContext], connections: int) -> None:
        self._resolver = resolver
        self._tls = tls
        self._connections = connections
        self._pools: dict[tuple[bytes, bytes, int | None, bool], httpcore.AsyncConnectionPool] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        url = request.url
        answer = await self._pool(url, bool(request.extensions["private"])).handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Stream(answer.stream))

    async def aclose(self) -> None:
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.aclose()

    def _pool(self, url: httpx.URL, private: bool) -> httpcore.AsyncConnectionPool:
        key = (url.raw_scheme, url.raw_host, url.port, private)
        found = self._pools.get(key)
        if found is None:
            found = self._pools[key] = httpcore.AsyncConnectionPool(
                ssl_context=self._tls() if url.scheme == "https" else None,
                max_connections=self._connections,
                max_keepalive_connections=_IDLE_CONNECTIONS,
                keepalive_expiry=_IDLE_SECONDS,
                network_backend=_CheckedNetwork(self._resolver, private),
            )
        return found


class _Stream(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to addresses, of which each was checked, and never to a name."""

    def __init__(self, resolver: Resolver, private: bool) -> None:
        self._resolver = resolver
        self._private = private
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        host = host.strip("[]")
        try:
            async with asyncio.timeout(timeout):
                addresses = (await self._addresses(host, port))[:_ADDRESSES]
                failure: Exception = httpcore.ConnectError("no address")
                for address in addresses:
                    # Each gets its share, so that one that swallows packets leaves time for the next.
                    share = None if timeout is None else timeout / len(addresses)
                    try:
                        return await self._network.connect_tcp(address, port, share, local_address, socket_options)
                    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                        failure = error
                raise failure
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("not connected in time") from error

    async def _addresses(self, host: str, port: int) -> list[str]:
        if _is_address(host):
            addresses = [host]
        else:
            try:
                addresses = await self._resolver.addresses(host, port)
            except RetryableError as error:
                raise httpcore.ConnectError(error.message) from error
        if not self._private:
            for address in addresses:
                if (why := why_refused(address)) is not None:
                    # The address is not repeated: what names stand for inside is nobody's business outside.
                    raise ForbiddenCallError(f"its host leads to an address that is not public ({why})")
        return addresses

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


@contextmanager
def _told_apart() -> Iterator[None]:
    """Makes of httpcore's errors ours, which say whether anything can have reached the other side."""
    try:
        yield
    except httpcore.PoolTimeout as error:
        raise CrowdedError("all connections to it are in use") from error
    except httpcore.ConnectTimeout as error:
        raise NotSentError("it could not be reached in time") from error
    except httpcore.ConnectError as error:
        raise NotSentError("it could not be reached") from error
    except httpcore.TimeoutException as error:
        raise NoAnswerError("it did not answer in time", code="integration_timeout") from error
    except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise ForbiddenCallError("the request is none that can be sent", code="invalid_request") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise NoAnswerError("the connection broke before its answer was whole") from error


@asynccontextmanager
async def _answer(client: httpx.AsyncClient, request: httpx.Request) -> AsyncIterator[httpx.Response]:
    answer = await client.send(request, stream=True, follow_redirects=False, auth=None)
    try:
        yield answer
    finally:
        await answer.aclose()


async def _body(answer: httpx.Response, bound: int) -> bytes:
    packing = answer.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("identity", "gzip", "x-gzip", ""):
        raise UnusableAnswerError("the answer is packed in a way that was not asked for")
    unpack = zlib.decompressobj(_GZIP) if "gzip" in packing else None
    body, begun = bytearray(), False
    async for part in answer.aiter_raw():
        begun = True
        try:
            # One byte more than may come tells that there is too much, however much the rest would be.
            body += part if unpack is None else unpack.decompress(part, bound + 1 - len(body))
        except zlib.error as error:
            raise NoAnswerError("the answer is not packed as it says") from error
        if len(body) > bound:
            raise UnusableAnswerError(f"the answer is longer than the {bound} bytes that are allowed")
    if unpack is not None and begun and not unpack.eof:
        raise NoAnswerError("the answer ends in the middle")
    return bytes(body)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
