"""The scripted server on loopback, and the pooled client to it, on one event loop of their own."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.fault_lab.script import Script
from benchmarks.fault_lab.server import FaultServer
from flotilla.errors import RetryableError
from flotilla.outbound.http_pool import CONNECTIONS, HttpPool
from tests.contracts.http_transport import Dependency


class Names:
    """`Resolver` of a table; what is not in it does not resolve. Keeps what it was asked."""

    def __init__(self, **addresses: Sequence[str]) -> None:
        self.addresses_of = {name.replace("_", "."): list(found) for name, found in addresses.items()}
        self.asked: list[str] = []

    async def addresses(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self.addresses_of:
            raise RetryableError("its host name does not resolve", code="unresolved")
        return self.addresses_of[host]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class OnLoopback(Dependency):
    """A real dependency."""

    def __init__(
        self, server: FaultServer, names: Names, tls: Callable[[], ssl.SSLContext] | None, connections: int
    ) -> None:
        self.server = server
        self.names = names
        self.pool = HttpPool(names, tls, connections) if tls else HttpPool(names, connections=connections)
        self.transport = self.pool
        self.origin = server.url
        self.dead_origin = f"http://127.0.0.1:{free_port()}"
        self._loop = asyncio.new_event_loop()

    def run(self, *work: Callable[[], Any]) -> list[Any]:
        async def all_of_it() -> list[Any]:
            return list(await asyncio.gather(*(each() for each in work)))

        return self._loop.run_until_complete(all_of_it())

    def sent(self) -> int:
        return len(self.server.received)

    def close(self) -> None:
        self._loop.run_until_complete(self.pool.aclose())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


@contextmanager
def on_loopback(
    script: Script,
    *,
    names: Names | None = None,
    tls: Callable[[], ssl.SSLContext] | None = None,
    connections: int = CONNECTIONS,
) -> Iterator[OnLoopback]:
    """A dependency that is there while the block runs."""
    with FaultServer(script) as server:
        there = OnLoopback(server, names or Names(), tls, connections)
        try:
            yield there
        finally:
            there.close()
