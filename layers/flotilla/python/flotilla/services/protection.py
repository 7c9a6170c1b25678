"""What stands before every call to an integration: its circuit, its caps on calls at once, its limits, in this order.

All three are shared by the whole fleet.
The circuit costs nothing where it is closed, so it is asked first; tokens cannot be given back as well as they can be
kept, so they are taken last. Where a later one refuses, what the earlier ones gave is given back: a refusal leaves no
trace, and neither does a caller that is cancelled while it asks.

What the other side asks for itself (429 with `Retry-After`) is kept to by this process; each learns it by itself.

Failure policy: open, as each of the three has it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from flotilla.circuit_ports import CircuitStore, Transitions
from flotilla.clock import Clock
from flotilla.errors import CircuitOpenError, LimitedError, ParkedError
from flotilla.integration_ports import CallAsk, Permit, Protection, protection_name
from flotilla.integrations.declaration import Integration
from flotilla.metric_ports import Metrics
from flotilla.primitives.circuit import CallOutcome, CircuitMode, CircuitRecord, CircuitState
from flotilla.services.circuit_breaker import CircuitBreaker, Passage
from flotilla.services.concurrency_caps import ConcurrencyCaps, HeldSlot
from flotilla.services.limits import Admission, Ask, Limiter
from flotilla.services.recovery import Recovery

LONGEST_PATIENCE_SECONDS = 1.0
"""How long a call waits for tokens that are about to be there; beyond it its task waits on its queue, at less cost."""

_PATIENT_PART = 4
_SHORTEST_WAIT_MS = 1000

_LONGEST_QUIET_MS = 60_000
"""However long the other side asks for: after it one call finds out whether that still holds."""

_EARLY_MS = 10
"""Timers are no more exact than this: who has waited as long as asked is not sent away again."""


class Protections:
    """Makes the protection of each integration.

    Args:
        circuits: Where circuits are kept.
        limiter: The limits as this process keeps to them.
        caps: The same, for what runs at once.
        clock: Time.
        random: Randomness, of this process's own.
        environment: Names this process; unique in the fleet.
        transitions: Told of circuits' steps made here; log lines by default.
        metrics: Counts what circuits refuse, and what their store did not answer.
    """

    def __init__(
        self,
        *,
        circuits: CircuitStore,
        limiter: Limiter,
        caps: ConcurrencyCaps,
        clock: Clock,
        random: random.Random,
        environment: str,
        transitions: Transitions | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._circuits = circuits
        self._limiter = limiter
        self._caps = caps
        self._clock = clock
        self._random = random
        self._environment = environment
        self._transitions = transitions
        self._metrics = metrics

    def of(self, integration: Integration) -> Protection:
        """The protection of an integration; one for each process and event loop."""
        breaker = None
        if integration.breaker is not None:
            breaker = CircuitBreaker(
                protection_name(integration.name),
                integration.breaker,
                self._circuits,
                self._clock,
                self._random,
                self._environment,
                self._transitions,
                self._metrics,
            )
        recovery = Recovery(protection_name(integration.name), self._limiter, self._clock, self._random)
        return SharedProtection(integration, breaker, recovery, self._limiter, self._caps, self._clock)


class SharedProtection:
    """`Protection` of one integration."""

    def __init__(
        self,
        integration: Integration,
        breaker: CircuitBreaker | None,
        recovery: Recovery,
        limiter: Limiter,
        caps: ConcurrencyCaps,
        clock: Clock,
    ) -> None:
        self._integration = integration
        self._name = protection_name(integration.name)
        self._breaker = breaker
        self._recovery = recovery
        self._limiter = limiter
        self._caps = caps
        self._clock = clock
        self._quiet_until_ms = 0
        self._left_over: set[asyncio.Task[None]] = set()

    async def acquire(self, ask: CallAsk) -> Permit:
        """See `Protection.acquire`."""
        if (quiet := self._quiet()) is not None:
            raise quiet
        given = _Given(await self._passage())
        patience = min(LONGEST_PATIENCE_SECONDS, ask.lease_ms / 1000 / _PATIENT_PART)
        try:
            given.turn = await self._recovery.admit(self._record, patience)
            for name, cap in self._caps_of(ask):
                given.slots.append(await self._caps.enter(name, cap, ask.lease_ms / 1000))
            await self._limiter.acquire(*self._asks(ask), patience_seconds=patience)
        except asyncio.CancelledError:
            self._later(self._take_back(given))
            raise
        except BaseException:
            await self._take_back(given)
            raise
        return _Permit(self, given)

    async def held(self) -> ParkedError | None:
        """See `Protection.held`."""
        if (quiet := self._quiet()) is not None:
            return quiet
        if self._breaker is None:
            return None
        record = await self._breaker.state()
        if record.mode is CircuitMode.CLOSED or (
            record.mode is CircuitMode.AUTO and record.state is not CircuitState.OPEN
        ):
            return None
        wait_ms = max(record.until_ms - self._clock.now_ms(), _SHORTEST_WAIT_MS)
        return self._recovery.later(record, CircuitOpenError(self._name, retry_after_seconds=wait_ms / 1000))

    async def works(self, since_ms: int) -> bool:
        """See `Protection.works`."""
        return self._breaker is None or await self._breaker.succeeded_since(since_ms)

    async def flush(self) -> None:
        """See `Protection.flush`."""
        if self._left_over:
            await asyncio.wait(self._left_over)
        if self._breaker is not None:
            await self._breaker.flush()

    async def done(self, given: _Given, outcome: CallOutcome, duration_ms: int, retry_after_ms: int | None) -> None:
        """A call is over: tell the circuit, and give up the slot."""
        if retry_after_ms is not None:
            quiet_ms = min(retry_after_ms, _LONGEST_QUIET_MS)
            self._quiet_until_ms = max(self._quiet_until_ms, self._clock.now_ms() + quiet_ms)
        await self._give_back(given, outcome, duration_ms)

    def _caps_of(self, ask: CallAsk) -> list[tuple[str, int]]:
        """The caps that a call comes under: the narrower first, so that a tenant at its own takes nobody's slot."""
        caps = [
            (f"{self._name}.tenant#{ask.tenant}", self._integration.concurrency_per_tenant),
            (self._name, self._integration.concurrency),
        ]
        return [(name, cap) for name, cap in caps if cap is not None]

    @property
    def _record(self) -> CircuitRecord:
        return CircuitRecord() if self._breaker is None else self._breaker.known

    async def _passage(self) -> Passage | None:
        if self._breaker is None:
            return None
        try:
            return await self._breaker.before()
        except CircuitOpenError as error:
            raise self._recovery.later(self._record, error) from error

    def _asks(self, ask: CallAsk) -> list[Ask]:
        limits = self._integration.limits
        # Asked for even where none is declared: an operator may have set one.
        each_agent, each_tenant = f"{self._name}.agent", f"{self._name}.tenant"
        return [
            Ask(self._name, limits.fleet),
            Ask(f"{each_agent}#{ask.agent}", limits.agent, each=each_agent),
            Ask(f"{each_tenant}#{ask.tenant}", limits.tenant, each=each_tenant),
        ]

    def _quiet(self) -> LimitedError | None:
        left_ms = self._quiet_until_ms - self._clock.now_ms()
        if left_ms <= _EARLY_MS:
            return None
        message = f"integration {self._integration.name} wants fewer calls"
        return LimitedError(message, limit=self._name, code="throttled", retry_after_seconds=left_ms / 1000)

    async def _take_back(self, given: _Given) -> None:
        """Nothing was done with it."""
        if given.turn is not None:
            turn, given.turn = given.turn, None
            await self._recovery.refund(turn)
        await self._give_back(given, CallOutcome.UNKNOWN, 0)

    async def _give_back(self, given: _Given, outcome: CallOutcome, duration_ms: int) -> None:
        while given.slots:
            await self._caps.leave(given.slots.pop())
        if self._breaker is not None and given.passage is not None:
            passage, given.passage = given.passage, None
            await self._breaker.record(passage, outcome, duration_ms)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._left_over.add(task)
        task.add_done_callback(self._left_over.discard)


@dataclass(slots=True)
class _Given:
    """What a call was given, until it is given back."""

    passage: Passage | None
    turn: Admission | None = None
    slots: list[HeldSlot] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Permit:
    protection: SharedProtection
    given: _Given

    async def record(self, outcome: CallOutcome, duration_ms: int, retry_after_ms: int | None = None) -> None:
        """See `Permit.record`."""
        await self.protection.done(self.given, outcome, duration_ms, retry_after_ms)
