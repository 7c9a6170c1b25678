"""Whether calls of others succeed, as far as an environment knows: what a failure is judged by."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from flotilla.errors import StoreUnavailableError
from flotilla.primitives.circuit import CallOutcome
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.primitives.circuit_window import SubBucket
from flotilla.services.circuit_breaker import CircuitBreaker
from tests.fakes.circuits import MemoryCircuits
from tests.fakes.virtual_time import EPOCH_MS, VirtualClock, run_virtually


class Down(MemoryCircuits):
    """Counts cannot be read."""

    async def window(self, circuit: str, since_ms: int) -> list[SubBucket]:
        raise StoreUnavailableError("down", code="circuits_unavailable")


def breaker(circuits: MemoryCircuits, name: str) -> CircuitBreaker:
    return CircuitBreaker("integration#crm", CircuitPolicy(), circuits, VirtualClock(), random.Random(1), name)


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return run_virtually(work())


async def call(one: CircuitBreaker, outcome: CallOutcome) -> None:
    await one.record(await one.before(), outcome, 10)


def now_ms() -> int:
    return VirtualClock().now_ms()


def test_a_success_of_its_own_is_known_at_once_and_only_from_when_it_ended() -> None:
    async def work() -> None:
        one = breaker(MemoryCircuits(), "one")
        await asyncio.sleep(10)
        await call(one, CallOutcome.OK)
        assert await one.succeeded_since(EPOCH_MS)
        assert await one.succeeded_since(now_ms())
        await asyncio.sleep(10)
        await call(one, CallOutcome.FAILED)
        assert not await one.succeeded_since(now_ms() - 5000)

    run(work)


def test_what_others_reported_counts_where_it_surely_ended_since() -> None:
    async def work() -> None:
        circuits = MemoryCircuits()
        one, other = breaker(circuits, "one"), breaker(circuits, "other")
        await call(other, CallOutcome.OK)
        assert not await one.succeeded_since(now_ms() - 1), "it may have ended before and been reported since"
        failed_ms = now_ms()
        await asyncio.sleep(12)
        await call(one, CallOutcome.FAILED)
        assert not await one.succeeded_since(failed_ms)
        await call(other, CallOutcome.OK)
        assert await one.succeeded_since(failed_ms)

    run(work)


def test_where_nothing_was_called_or_counts_cannot_be_read_nobody_knows() -> None:
    async def work() -> None:
        await asyncio.sleep(60)
        assert not await breaker(MemoryCircuits(), "one").succeeded_since(EPOCH_MS)
        assert not await breaker(Down(), "one").succeeded_since(EPOCH_MS)

    run(work)
