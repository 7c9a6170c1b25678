"""A fleet of environments that call one thing through one circuit, on one virtual clock and one store.

Everything that is measured is measured at the other side: a call counts as made when the dependency sees it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from flotilla.circuit_ports import Transition
from flotilla.clock import Clock
from flotilla.errors import CircuitOpenError, StoreUnavailableError
from flotilla.primitives.circuit import CallOutcome, CircuitState
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.services.circuit_breaker import CircuitBreaker
from tests.fakes.circuits import MemoryCircuits, MemoryTransitions
from tests.fakes.virtual_time import EPOCH_MS, VirtualClock

NAME = "crm"


class SlowCircuits(MemoryCircuits):
    """A store that takes its milliseconds to answer, and can be down."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self.down = False

    async def answer(self) -> None:
        await asyncio.sleep(self._random.uniform(0.002, 0.008))
        if self.down:
            raise StoreUnavailableError("the circuits did not answer")


@dataclass
class Dependency:
    """What is called. A test changes how it is.

    Attributes:
        error_rate: Share of calls that fail.
        slow_rate: Share of those that do not which take `slow_seconds`.
        failure_seconds: How long a failure takes.
    """

    random: Random
    error_rate: float = 0.0
    slow_rate: float = 0.0
    slow_seconds: float = 2.0
    failure_seconds: float = 0.01
    calls: int = 0
    failures: int = 0
    in_flight: int = 0
    most_in_flight: int = 0

    async def call(self) -> bool:
        self.calls += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.random.random() < self.error_rate:
                self.failures += 1
                await asyncio.sleep(self.failure_seconds)
                return False
            slow = self.random.random() < self.slow_rate
            await asyncio.sleep(self.slow_seconds if slow else self.random.lognormvariate(-3.0, 0.3))
            return True
        finally:
            self.in_flight -= 1


@dataclass(eq=False)
class Environment:
    """One environment: calls arrive at random, and overlap."""

    fleet: Fleet
    number: int
    random: Random
    breaker: CircuitBreaker
    work: asyncio.Task[None] | None = None
    ill: bool = False
    calls: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self) -> None:
        self.work = asyncio.ensure_future(self._run())

    def die(self) -> None:
        """Nothing of it goes on, and nothing it holds is given back."""
        for task in (self.work, *self.calls):
            if task is not None:
                task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(self.fleet.rate))
            try:
                passage = await self.breaker.before()
            except CircuitOpenError as refusal:
                self.fleet.refused += 1
                self.fleet.shortest_retry = min(self.fleet.shortest_retry, refusal.retry_after_seconds)
                continue
            probe = passage.lease is not None
            self.fleet.probes += probe
            if probe and self.fleet.kill_probers:
                self.fleet.kill_probers -= 1
                self.work = None
                self.die()
                return
            call = asyncio.ensure_future(self._call(passage))
            self.calls.add(call)
            call.add_done_callback(self.calls.discard)

    async def _call(self, passage: object) -> None:
        fine = not self.ill and await self.fleet.dependency.call()
        await self.breaker.record(passage, CallOutcome.OK if fine else CallOutcome.FAILED)  # type: ignore[arg-type]


class Fleet:
    """`size` environments, each with `rate` calls a second."""

    def __init__(self, size: int, rate: float, policy: CircuitPolicy | None = None, seed: int = 1) -> None:
        self.rate = rate
        self.policy = policy or CircuitPolicy()
        self.clock: Clock = VirtualClock()
        self.random = Random(f"{seed}/{size}/{rate}")
        self.store = SlowCircuits(self.random)
        self.dependency = Dependency(self.random)
        self.transitions = MemoryTransitions()
        self.refused = 0
        self.shortest_retry = float("inf")
        self.probes = 0
        self.kill_probers = 0
        self.environments = [self._environment(number) for number in range(size)]

    def _environment(self, number: int) -> Environment:
        random = Random(self.random.random())
        breaker = CircuitBreaker(NAME, self.policy, self.store, self.clock, random, f"env-{number}", self.transitions)
        return Environment(self, number, random, breaker)

    def start(self) -> None:
        for environment in self.environments:
            environment.start()

    async def for_seconds(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until(self, condition: Callable[[], bool], *, at_most: float) -> float:
        """Seconds until `condition` holds, looked at every 10 ms; `at_most` where it does not hold by then."""
        passed = 0.0
        while passed < at_most and not condition():
            await asyncio.sleep(0.01)
            passed += 0.01
        return passed

    @property
    def state(self) -> CircuitState:
        record = self.store.records.get(NAME)
        return CircuitState.CLOSED if record is None else record.state

    @property
    def now(self) -> float:
        return (self.clock.now_ms() - EPOCH_MS) / 1000

    def told(self) -> list[Transition]:
        return self.transitions.told
