"""Endpoints as the broadcaster and the API know them: at most two seconds old.

Failure policy: closed. A directory that cannot be read is an error to the caller, who comes again: an endpoint that
is passed over once is never told.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from flotilla.broadcast import Endpoint
from flotilla.broadcast_ports import Endpoints
from flotilla.clock import Clock
from flotilla.models import Status

TTL_MS = 2000
SETTLED_SECONDS = TTL_MS / 1000 + 0.5
"""So long after a change every directory knows it; half a second is for reads that are not up to the last write."""

MAX_TENANTS = 1000


@dataclass(frozen=True, slots=True)
class _Known:
    endpoints: tuple[Endpoint, ...]
    until_ms: int


class EndpointDirectory:
    """Reads a tenant's endpoints once in a while, also where it has none.

    Args:
        endpoints: Where they are kept.
        clock: Tells how old what is known is.
        max_tenants: Tenants remembered at the most.
    """

    def __init__(self, endpoints: Endpoints, clock: Clock, max_tenants: int = MAX_TENANTS) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self._max_tenants = max_tenants
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asked_for: frozenset[Status] = frozenset()
        self._asked_for_until_ms = 0

    async def of(self, tenant: str) -> tuple[Endpoint, ...]:
        """The tenant's endpoints.

        Raises:
            RetryableError: They are not known and the store did not answer.
        """
        known = self._known.get(tenant)
        if known is None or known.until_ms <= self._clock.now_ms():
            known = await self._read(tenant)
        return known.endpoints

    async def asked_for(self) -> frozenset[Status]:
        """Every status that an endpoint of the fleet may ask for.

        Raises:
            RetryableError: They are not known and the store did not answer.
        """
        asked_ms = self._clock.now_ms()
        if self._asked_for_until_ms <= asked_ms:
            self._asked_for = await self._endpoints.asked_for()
            self._asked_for_until_ms = asked_ms + TTL_MS
        return self._asked_for

    async def named(self, tenant: str, name: str) -> Endpoint | None:
        """The tenant's endpoint of that id or of exactly that URL, also if it was registered a moment ago.

        Raises:
            RetryableError: The store did not answer.
        """
        found = _named(name, await self.of(tenant))
        return found or _named(name, (await self._read(tenant)).endpoints)

    async def _read(self, tenant: str) -> _Known:
        asked_ms = self._clock.now_ms()
        known = _Known(tuple(await self._endpoints.of(tenant)), asked_ms + TTL_MS)
        self._known[tenant] = known
        self._known.move_to_end(tenant)
        while len(self._known) > self._max_tenants:
            self._known.popitem(last=False)
        return known


def _named(name: str, endpoints: Iterable[Endpoint]) -> Endpoint | None:
    return next((endpoint for endpoint in endpoints if name in (endpoint.id, endpoint.url)), None)
