"""What stands before every call to an integration: its circuit, its caps on calls at once, its limits, in this order.

All three are shared by the whole fleet.
The circuit costs nothing where it is closed, so it is asked first; tokens cannot be given back as well as they can be
kept, so they are taken last. Where a later one refuses, what the earlier ones gave is given back: a refusal leaves no
trace, and neither does a caller that is cancelled while it asks.

Failure policy: open, as each of the three has it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from flotilla.errors import ParkedError
from flotilla.integration_ports import CallAsk, Permit, Protection, protection_name
from flotilla.integrations.declaration import Integration
from flotilla.primitives.circuit import CallOutcome
from flotilla.services.concurrency_caps import ConcurrencyCaps, HeldSlot
from flotilla.services.dependency import Dependencies, Dependency, Leave
from flotilla.services.limits import Ask, Limiter

LONGEST_PATIENCE_SECONDS = 1.0
"""How long a call waits for tokens that are about to be there; beyond it its task waits on its queue, at less cost."""

_PATIENT_PART = 4


class Protections:
    """Makes the protection of each integration.

    Args:
        dependencies: Makes what stands before each.
        caps: What runs at once, as this process keeps to it.
    """

    def __init__(self, dependencies: Dependencies, caps: ConcurrencyCaps) -> None:
        self._dependencies = dependencies
        self._caps = caps

    def of(self, integration: Integration) -> Protection:
        """The protection of an integration; one for each process and event loop."""
        name = protection_name(integration.name)
        dependency = self._dependencies.of(name, integration.breaker, throttled="throttled")
        return SharedProtection(integration, dependency, self._dependencies.limiter, self._caps)


class SharedProtection:
    """`Protection` of one integration."""

    def __init__(
        self, integration: Integration, dependency: Dependency, limiter: Limiter, caps: ConcurrencyCaps
    ) -> None:
        self._integration = integration
        self._dependency = dependency
        self._limiter = limiter
        self._caps = caps

    async def acquire(self, ask: CallAsk) -> Permit:
        """See `Protection.acquire`."""
        given = _Given(await self._dependency.before())
        patience = min(LONGEST_PATIENCE_SECONDS, ask.lease_ms / 1000 / _PATIENT_PART)
        try:
            await self._dependency.take_turn(given.leave, patience)
            for name, cap in self._caps_of(ask):
                given.slots.append(await self._caps.enter(name, cap, ask.lease_ms / 1000))
            await self._limiter.acquire(*self._asks(ask), patience_seconds=patience)
        except asyncio.CancelledError:
            self._dependency.later(self._take_back(given))
            raise
        except BaseException:
            await self._take_back(given)
            raise
        return _Permit(self, given)

    async def held(self) -> ParkedError | None:
        """See `Protection.held`."""
        return await self._dependency.held()

    async def works(self, since_ms: int) -> bool:
        """See `Protection.works`."""
        return await self._dependency.works(since_ms)

    async def flush(self) -> None:
        """See `Protection.flush`."""
        await self._dependency.flush()

    async def done(self, given: _Given, outcome: CallOutcome, duration_ms: int, retry_after_ms: int | None) -> None:
        """A call is over: tell the circuit, and give up the slots."""
        if retry_after_ms is not None:
            self._dependency.quieten(retry_after_ms)
        await self._leave(given)
        await self._dependency.record(given.leave, outcome, duration_ms)

    def _caps_of(self, ask: CallAsk) -> list[tuple[str, int]]:
        """The caps that a call comes under: the narrower first, so that a tenant at its own takes nobody's slot."""
        name = self._dependency.name
        caps = [
            (f"{name}.tenant#{ask.tenant}", self._integration.concurrency_per_tenant),
            (name, self._integration.concurrency),
        ]
        return [(capped, cap) for capped, cap in caps if cap is not None]

    def _asks(self, ask: CallAsk) -> list[Ask]:
        name, limits = self._dependency.name, self._integration.limits
        # Asked for even where none is declared: an operator may have set one.
        each_agent, each_tenant = f"{name}.agent", f"{name}.tenant"
        return [
            Ask(name, limits.fleet),
            Ask(f"{each_agent}#{ask.agent}", limits.agent, each=each_agent),
            Ask(f"{each_tenant}#{ask.tenant}", limits.tenant, each=each_tenant),
        ]

    async def _take_back(self, given: _Given) -> None:
        """Nothing was done with it."""
        await self._leave(given)
        await self._dependency.take_back(given.leave)

    async def _leave(self, given: _Given) -> None:
        while given.slots:
            await self._caps.leave(given.slots.pop())


@dataclass(slots=True)
class _Given:
    """What a call was given, until it is given back."""

    leave: Leave
    slots: list[HeldSlot] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Permit:
    protection: SharedProtection
    given: _Given

    async def record(self, outcome: CallOutcome, duration_ms: int, retry_after_ms: int | None = None) -> None:
        """See `Permit.record`."""
        await self.protection.done(self.given, outcome, duration_ms, retry_after_ms)
