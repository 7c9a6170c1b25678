"""Registering webhook endpoints: one for each URL of a tenant, and its secrets.

Invariant: the fleet-wide note of what endpoints ask for is written before the endpoint, so nothing that an endpoint
asks for is passed over for want of the note. A registration is answered when every directory knows of it: whatever
happens after the answer is told. A repeated registration makes a new secret and keeps the earlier ones
valid for a day each: a client that lost an answer repeats the call, and the receiver goes on with the secret it has.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from flotilla.broadcast import TERMINAL, Breaker, Endpoint, EndpointState, Secret
from flotilla.broadcast_ports import Endpoints
from flotilla.clock import Clock
from flotilla.errors import FlotillaError, RetryableError
from flotilla.models import Status
from flotilla.primitives.webhook_signature import SECRET_BYTES, secret_of
from flotilla.services.destinations import Destinations
from flotilla.services.endpoint_directory import SETTLED_SECONDS

OLD_SECRET_SECONDS = 24 * 3600
"""How long a secret signs on beside a newer one."""

MAX_ENDPOINTS = 50
"""Of one tenant. Each transition may become so many deliveries."""

_MAX_SECRETS = 5
_ID_CHARACTERS = 24
_TRIES = 5
_RESOLVE_SECONDS = 3.0


class TooManyEndpointsError(FlotillaError):
    """The tenant has as many endpoints as it may."""

    default_code = "too_many_endpoints"


class Unsaid(Enum):
    """What a client left out: the default for a new endpoint, no change for one that is there."""

    UNSAID = "unsaid"


@dataclass(frozen=True, slots=True)
class Registration:
    """What a client wants.

    Attributes:
        events: By default how tasks end.
        agents: None for all, which is the default.
    """

    tenant: str
    url: str
    events: Sequence[Status] | Unsaid = Unsaid.UNSAID
    agents: Sequence[str] | Unsaid | None = Unsaid.UNSAID

    def events_or(self, otherwise: tuple[Status, ...]) -> tuple[Status, ...]:
        """What is said of the events, else `otherwise`."""
        return otherwise if isinstance(self.events, Unsaid) else tuple(self.events)

    def agents_or(self, otherwise: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """What is said of the agents, else `otherwise`."""
        if isinstance(self.agents, Unsaid):
            return otherwise
        return None if self.agents is None else tuple(self.agents)


def endpoint_id(tenant: str, url: str) -> str:
    """The id of a tenant's endpoint: one URL is one endpoint, however often it is registered."""
    return "whk_" + hashlib.sha256(f"{tenant}\0{url}".encode()).hexdigest()[:_ID_CHARACTERS]


class EndpointService:
    """Registers, shows and removes endpoints.

    Args:
        endpoints: Where they are kept.
        destinations: Decides where webhooks may go.
        clock: Tells the time.
        random_bytes: Makes that many random bytes, fit for secrets.
    """

    def __init__(
        self, endpoints: Endpoints, destinations: Destinations, clock: Clock, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._endpoints = endpoints
        self._destinations = destinations
        self._clock = clock
        self._random_bytes = random_bytes

    async def register(self, wanted: Registration) -> Endpoint:
        """Register an endpoint, or give the one of this URL a new secret (which also enables it again).

        A host whose name does not resolve (yet) is no error: it is resolved and checked at every delivery.

        Raises:
            ForbiddenDestinationError: A webhook may not go there.
            TooManyEndpointsError: The tenant has as many as it may.
            RetryableError: The store did not answer; repeat the call.
        """
        await self._check(wanted.url)
        # A task may name any endpoint, and then its end is told: so every endpoint asks for the ends.
        await self._endpoints.ask_for({*TERMINAL, *wanted.events_or(())})
        found = endpoint_id(wanted.tenant, wanted.url)
        secret = Secret(secret_of(self._random_bytes(SECRET_BYTES)))
        for _ in range(_TRIES):
            existing = await self._endpoints.get(wanted.tenant, found)
            if existing is None:
                endpoint = self._new(found, wanted, secret)
                await self._require_room(wanted.tenant)
                if await self._endpoints.add(endpoint):
                    await self._clock.sleep(SETTLED_SECONDS)
                    return endpoint
            elif existing.secrets[0] == secret:
                return existing  # an earlier try of this very call was stored, and its answer lost
            else:
                endpoint = self._rotated(existing, wanted, secret)
                if await self._endpoints.change(endpoint):
                    if _wants(endpoint) != _wants(existing):
                        await self._clock.sleep(SETTLED_SECONDS)
                    return replace(endpoint, version=endpoint.version + 1)
        raise RetryableError("the endpoint is changing", code="endpoints_unavailable")

    async def all(self, tenant: str) -> list[Endpoint]:
        """The tenant's endpoints, the oldest first.

        Raises:
            RetryableError: The store did not answer.
        """
        return await self._endpoints.of(tenant)

    async def get(self, tenant: str, endpoint_id: str) -> Endpoint | None:
        """The endpoint, or None where this tenant has no such.

        Raises:
            RetryableError: The store did not answer.
        """
        return await self._endpoints.get(tenant, endpoint_id)

    async def remove(self, tenant: str, endpoint_id: str) -> bool:
        """Forget an endpoint; what is on its way to it is dropped. False where this tenant has no such.

        Raises:
            RetryableError: The store did not answer.
        """
        return await self._endpoints.remove(tenant, endpoint_id)

    async def _check(self, url: str) -> None:
        target = self._destinations.target(url)
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                await self._destinations.addresses(target)
        except (RetryableError, TimeoutError):
            return

    async def _require_room(self, tenant: str) -> None:
        # Two calls at once may both find room for the last one: a bound on amplification need not be exact.
        if len(await self._endpoints.of(tenant)) >= MAX_ENDPOINTS:
            raise TooManyEndpointsError(f"A tenant can have at most {MAX_ENDPOINTS} endpoints.")

    def _new(self, found: str, wanted: Registration, secret: Secret) -> Endpoint:
        return Endpoint(
            id=found,
            tenant=wanted.tenant,
            url=wanted.url,
            events=wanted.events_or(TERMINAL),
            agents=wanted.agents_or(None),
            secrets=(secret,),
            created_at_ms=self._clock.now_ms(),
        )

    def _rotated(self, existing: Endpoint, wanted: Registration, secret: Secret) -> Endpoint:
        now_ms = self._clock.now_ms()
        until_ms = now_ms + OLD_SECRET_SECONDS * 1000
        earlier = [
            replace(old, until_ms=until_ms if old.until_ms is None else old.until_ms) for old in existing.secrets
        ]
        return replace(
            existing,
            events=wanted.events_or(existing.events),
            agents=wanted.agents_or(existing.agents),
            secrets=(secret, *valid(earlier, now_ms))[:_MAX_SECRETS],
            state=EndpointState.ACTIVE,
            breaker=Breaker(),
        )


def _wants(endpoint: Endpoint) -> tuple[object, ...]:
    """What decides what an endpoint is told."""
    return endpoint.events, endpoint.agents, endpoint.state


def valid(secrets: Sequence[Secret], now_ms: int) -> list[Secret]:
    """Those of an endpoint's secrets that sign what is sent now."""
    return [secret for secret in secrets if secret.until_ms is None or secret.until_ms > now_ms]
