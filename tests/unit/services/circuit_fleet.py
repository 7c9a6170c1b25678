"""A few environments around one circuit, on a clock that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest

from flotilla.circuit_ports import Transition
from flotilla.errors import CircuitOpenError, StoreUnavailableError
from flotilla.primitives.circuit import CallOutcome, CircuitRecord, CircuitState
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.services.circuit_breaker import CircuitBreaker, Passage
from tests.fakes import ManualClock
from tests.fakes.circuits import MemoryCircuits, MemoryTransitions
from tests.fakes.metrics import MemoryMetrics

NAME = "integration.crm"
POLICY = CircuitPolicy()
OK, FAILED, UNKNOWN = CallOutcome


class FailingCircuits(MemoryCircuits):
    """Circuits that can be down."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False

    async def answer(self) -> None:
        await super().answer()
        if self.down:
            raise StoreUnavailableError("the circuits did not answer")


class Scene:
    """One store and one clock."""

    def __init__(self, policy: CircuitPolicy = POLICY) -> None:
        self.policy = policy
        self.clock = ManualClock()
        self.store = FailingCircuits()
        self.transitions = MemoryTransitions()
        self.metrics = MemoryMetrics()
        self._made = 0

    def environment(self) -> CircuitBreaker:
        self._made += 1
        return CircuitBreaker(
            NAME,
            self.policy,
            self.store,
            self.clock,
            Random(self._made),
            f"env-{self._made}",
            self.transitions,
            self.metrics,
        )

    @property
    def record(self) -> CircuitRecord:
        return self.store.records.get(NAME, CircuitRecord())

    @property
    def states(self) -> list[CircuitState]:
        return [transition.after.state for transition in self.told]

    @property
    def told(self) -> list[Transition]:
        return self.transitions.told

    async def call(self, breaker: CircuitBreaker, outcome: CallOutcome = OK, seconds: float = 0.05) -> Passage:
        passage = await breaker.before()
        self.clock.advance(seconds)
        await breaker.record(passage, outcome)
        return passage

    async def healthy(self, breaker: CircuitBreaker, seconds: float = 20.0) -> None:
        """Ten calls a second that succeed."""
        for _ in range(int(seconds * 10)):
            await self.call(breaker)
            self.clock.advance(0.05)

    async def open(self, breaker: CircuitBreaker) -> int:
        """Let calls fail until the circuit is open; how many it took."""
        for calls in range(1, 100):
            await self.call(breaker, FAILED)
            self.clock.advance(0.05)
            if self.record.state is CircuitState.OPEN:
                return calls
        raise AssertionError("it never opened")

    def to_the_end_of_the_cooldown(self) -> None:
        self.clock.advance((self.record.until_ms - self.clock.now_ms()) / 1000)


async def refusal(breaker: CircuitBreaker) -> CircuitOpenError:
    """Ask for leave, which is not to be given."""
    with pytest.raises(CircuitOpenError) as raised:
        await breaker.before()
    return raised.value


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)
