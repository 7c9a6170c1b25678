"""Kinds of protection that need no package: the fleet's own breaker, LiteLLM's rules, and none.

LiteLLM's are as its router documents them and as version 1.109 has them by default: in each calendar minute a
deployment of which at least five calls were made and more than half failed is left alone for five seconds, and one that
is the only one of its model never is. Counts are each process's own.
"""

from __future__ import annotations

import asyncio
from random import Random

from benchmarks.fault_lab.breakers.stores import Stores, Weather
from benchmarks.fault_lab.breakers.world import Attempt, DependencyError, HeldBackError, Protection
from flotilla.circuit_ports import ProbeLease, Transition
from flotilla.errors import CircuitOpenError
from flotilla.primitives.circuit import CallOutcome, CircuitState
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.services.circuit_breaker import CircuitBreaker
from tests.fakes.circuits import MemoryTransitions
from tests.fakes.virtual_time import VirtualClock

_ALLOWED_SHARE = 0.5
_MINIMUM_CALLS = 5
_COOLDOWN_SECONDS = 5.0


class FlotillaFleet:
    """`CircuitBreaker`, with the default policy or another.

    Attributes:
        weather: Of its store.
        probes: Calls made by the lease of a probe.
        leases: Of those that may be under way.
        most_probes: So many at once at most.
    """

    name = "Flotilla"

    def __init__(self, stores: Stores, seed: int, policy: CircuitPolicy | None = None) -> None:
        self.policy = policy or CircuitPolicy()
        self.cooldown_seconds = self.policy.cooldown_ms / 1000
        self.weather = Weather(Random(f"store/{seed}"))
        self.store = stores.circuits(self.weather)
        self.circuit = stores.circuit()
        self.probes = self.most_probes = 0
        self.leases: set[ProbeLease] = set()
        self._transitions = MemoryTransitions()

    def environment(self, number: int, random: Random) -> Protection:
        """See `Fleet.environment`."""
        breaker = CircuitBreaker(
            self.circuit, self.policy, self.store, VirtualClock(), random, f"env-{number}", self._transitions
        )
        return _Flotilla(self, breaker)

    def probing(self, lease: ProbeLease) -> None:
        """A probe is made by that lease."""
        now_ms = VirtualClock().now_ms()
        # One of which nothing is heard may be under way for as long as its lease lasts.
        self.leases = {one for one in self.leases if one.until_ms > now_ms} | {lease}
        self.probes += 1
        self.most_probes = max(self.most_probes, len(self.leases))

    def openings(self) -> list[Transition]:
        """The steps by which it opened."""
        return [step for step in self._transitions.told if step.after.state is CircuitState.OPEN]

    @property
    def last_cooldown_seconds(self) -> float:
        """The one it held last."""
        openings = self.openings()
        return openings[-1].after.cooldown_ms / 1000 if openings else self.cooldown_seconds


class _Flotilla:
    def __init__(self, fleet: FlotillaFleet, breaker: CircuitBreaker) -> None:
        self._fleet = fleet
        self._breaker = breaker

    async def call(self, attempt: Attempt) -> None:
        try:
            passage = await self._breaker.before()
        except CircuitOpenError as refusal:
            raise HeldBackError from refusal
        if passage.lease is not None:
            self._fleet.probing(passage.lease)
        outcome = CallOutcome.FAILED
        try:
            await attempt()
            outcome = CallOutcome.OK
        finally:
            if passage.lease is not None:
                self._fleet.leases.discard(passage.lease)
            await self._breaker.record(passage, outcome)


class LiteLlmFleet:
    """LiteLLM's cooldown of one of two deployments, in each environment: what is held back goes to the other.

    Args:
        alone: Whether the deployment is its model's only one.
    """

    name = "LiteLLM's rules"
    cooldown_seconds = _COOLDOWN_SECONDS

    def __init__(self, *, alone: bool = False) -> None:
        self.alone = alone
        self.trips = 0

    def environment(self, _number: int, _random: Random) -> Protection:
        """See `Fleet.environment`."""
        return _LiteLlm(self)


class _LiteLlm:
    def __init__(self, fleet: LiteLlmFleet) -> None:
        self._fleet = fleet
        self._minute = -1
        self._calls = self._failures = 0
        self._free_at = 0.0

    async def call(self, attempt: Attempt) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._free_at:
            raise HeldBackError
        try:
            await attempt()
        except DependencyError:
            self._count(loop.time(), failed=True)
            if not self._fleet.alone and self._too_many():
                self._fleet.trips += self._free_at <= loop.time()
                self._free_at = loop.time() + _COOLDOWN_SECONDS
            raise
        self._count(loop.time(), failed=False)

    def _count(self, now: float, *, failed: bool) -> None:
        if int(now // 60) != self._minute:
            self._minute, self._calls, self._failures = int(now // 60), 0, 0
        self._calls += 1
        self._failures += failed

    def _too_many(self) -> bool:
        return self._calls >= _MINIMUM_CALLS and self._failures > self._calls * _ALLOWED_SHARE


class OpenFleet:
    """No protection."""

    name = "no breaker"
    cooldown_seconds = 0.0

    def environment(self, _number: int, _random: Random) -> Protection:
        """See `Fleet.environment`."""
        return self

    async def call(self, attempt: Attempt) -> None:
        """See `Protection.call`."""
        await attempt()
