"""What a call meets while a dependency comes back from an outage."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from flotilla.errors import CircuitOpenError
from flotilla.primitives.circuit import CircuitMode, CircuitRecord
from flotilla.services.limits import Limiter
from flotilla.services.recovery import Recovery
from tests.fakes.limits import MemoryBuckets
from tests.fakes.virtual_time import EPOCH_MS, VirtualClock, run_virtually

NAME = "integration#crm"
OVER = CircuitRecord(usual_per_minute=60, outage_ms=300_000, recovered_at_ms=EPOCH_MS)


def run(work: Callable[[Recovery, MemoryBuckets], Coroutine[Any, Any, None]]) -> None:
    buckets, clock, chance = MemoryBuckets(), VirtualClock(), random.Random(1)
    run_virtually(work(Recovery(NAME, Limiter(buckets, clock, chance), clock, chance), buckets))


async def admitted(recovery: Recovery, record: CircuitRecord) -> int:
    """How many calls are let through at once, of a hundred."""
    count = 0
    for _ in range(100):
        try:
            await recovery.admit(record, 0.0)
        except CircuitOpenError:
            continue
        count += 1
    return count


def test_where_there_is_nothing_to_recover_from_nothing_is_asked_and_all_may_call() -> None:
    async def work(recovery: Recovery, buckets: MemoryBuckets) -> None:
        assert await admitted(recovery, CircuitRecord()) == 100
        assert await admitted(recovery, replace(OVER, mode=CircuitMode.CLOSED)) == 100
        assert (buckets.reads, buckets.writes) == (0, 0)

    run(work)


def test_others_are_sent_away_for_about_as_long_as_the_outage_was() -> None:
    async def work(recovery: Recovery, _buckets: MemoryBuckets) -> None:
        assert await admitted(recovery, OVER) == 1
        waits = []
        for _ in range(50):
            with pytest.raises(CircuitOpenError) as refused:
                await recovery.admit(OVER, 0.0)
            assert refused.value.circuit == NAME
            waits.append(refused.value.retry_after_seconds)
        assert min(waits) < 50 < 200 < max(waits) < 340

    run(work)


def test_a_call_that_was_not_made_leaves_its_turn_to_the_next() -> None:
    async def work(recovery: Recovery, _buckets: MemoryBuckets) -> None:
        turn = await recovery.admit(OVER, 0.0)
        assert turn is not None
        await recovery.refund(turn)
        assert await admitted(recovery, OVER) == 1

    run(work)
