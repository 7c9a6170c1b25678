"""Hands out clients for integrations: to an agent those that it declares, and no other.

One desk for each process. What all attempts share (connections, secrets, circuits, limits) is made when an integration
is first used, and belongs to the event loop that then runs.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Mapping

from flotilla.clock import Clock
from flotilla.errors import FlotillaError, PermanentError
from flotilla.integration_ports import HttpTransport, Protection, Secrets
from flotilla.integrations.client import Caller, CallTools, IntegrationClient
from flotilla.integrations.credentials import Credentials
from flotilla.integrations.declaration import ANY, Integration
from flotilla.metric_ports import Metrics, NoMetrics

logger = logging.getLogger("flotilla.integrations")

_FLUSH_SECONDS = 1.0


class IntegrationDesk:
    """The integrations of one process.

    Args:
        declared: All that there are, by name.
        transport: Makes requests.
        secrets: Where credentials are kept.
        protect: Makes an integration's protection.
        clock: Time.
        random: Draws jitter.
        metrics: Counts.
    """

    def __init__(
        self,
        declared: Mapping[str, Integration],
        *,
        transport: HttpTransport,
        secrets: Secrets,
        protect: Callable[[Integration], Protection],
        clock: Clock,
        random: random.Random,
        metrics: Metrics | None = None,
    ) -> None:
        self._declared = declared
        self._transport = transport
        self._protect = protect
        self._credentials = Credentials(secrets, clock)
        self._clock = clock
        self._random = random
        self._metrics = metrics or NoMetrics()
        self._tools: dict[str, CallTools] = {}
        self._told: set[asyncio.Task[None]] = set()

    def client(self, name: str, allowed: Collection[str], caller: Caller) -> IntegrationClient:
        """A client of the integration `name`, for one attempt.

        Args:
            name: As in `fleet.toml`.
            allowed: The integrations that the attempt's agent declares.
            caller: The attempt.

        Raises:
            PermanentError: The agent does not declare it, or the fleet has none of that name
                (`integration_not_declared`).
        """
        if name not in allowed and ANY not in allowed:
            raise _not_declared(f"agent {caller.agent} does not declare the integration {name!r}")
        integration = self._declared.get(name)
        if integration is None:
            raise _not_declared(f"the fleet has no integration {name!r}")
        return IntegrationClient(integration, caller, self._tools_of(integration))

    async def flush(self) -> None:
        """Tell what is still to be told of calls, before the process stands still; takes about a second at the most."""
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                if self._told:
                    await asyncio.wait(self._told)
                for tools in self._tools.values():
                    await tools.protection.flush()
        except (TimeoutError, FlotillaError) as error:
            extra = {"protection": "flush", "code": getattr(error, "code", "slow")}
            logger.warning("protection unavailable", extra=extra)

    def _tools_of(self, integration: Integration) -> CallTools:
        found = self._tools.get(integration.name)
        if found is None:
            found = self._tools[integration.name] = CallTools(
                transport=self._transport,
                protection=self._protect(integration),
                credentials=self._credentials,
                clock=self._clock,
                random=self._random,
                told=self._told,
                metrics=self._metrics,
            )
        return found


def _not_declared(message: str) -> PermanentError:
    return PermanentError(message, code="integration_not_declared")
