"""HTTP for integrations, loaded with the first request.

On a thread: most processes make none, and the others must not stand still meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flotilla.broadcast_ports import Resolver
from flotilla.integration_ports import HttpAnswer, HttpBounds, HttpRequest
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from flotilla.outbound.http_pool import HttpPool


class Http:
    """`HttpTransport` over `HttpPool`.

    Args:
        resolver: The domain name system.
        run_sync: Loads what it takes.
    """

    def __init__(self, resolver: Resolver, run_sync: RunSync) -> None:
        self._resolver = resolver
        self._run_sync = run_sync
        self._pool: HttpPool | None = None
        self._loading: asyncio.Lock | None = None

    async def send(self, request: HttpRequest, bounds: HttpBounds) -> HttpAnswer:
        """See `HttpTransport.send`."""
        if self._pool is None:
            self._loading = self._loading or asyncio.Lock()
            async with self._loading:
                if self._pool is None:
                    self._pool = await self._run_sync(self._loaded)
        return await self._pool.send(request, bounds)

    def _loaded(self) -> HttpPool:
        from flotilla.outbound.http_pool import HttpPool

        return HttpPool(self._resolver)
