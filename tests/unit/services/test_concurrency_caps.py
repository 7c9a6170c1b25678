"""Caps on how much runs at once: slots of processes that come, go and die."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from flotilla.errors import LimitedError, StoreUnavailableError
from flotilla.primitives.slots import Claim, Slot
from flotilla.services.concurrency_caps import ConcurrencyCaps
from tests.fakes import ManualClock
from tests.fakes.limits import MemorySlots
from tests.fakes.metrics import MemoryMetrics


class Slots(MemorySlots):
    """Can be down."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False

    async def read(self, name: str) -> list[Slot]:
        if self.down:
            raise StoreUnavailableError("down", code="slots_unavailable")
        return await super().read(name)

    async def claim(self, name: str, claim: Claim, expires_at: int) -> Slot | None:
        if self.down:
            raise StoreUnavailableError("down", code="slots_unavailable")
        return await super().claim(name, claim, expires_at)


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = Slots()
        self.metrics = MemoryMetrics()
        self._made = 0

    def caps(self) -> ConcurrencyCaps:
        self._made += 1
        return ConcurrencyCaps(self.store, self.clock, random.Random(self._made), skew_ms=1000, metrics=self.metrics)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_as_many_as_the_cap_get_in_and_each_that_leaves_lets_another_in() -> None:
    world = World()

    async def walk() -> None:
        processes = [world.caps() for _ in range(4)]
        held = [await process.enter("crm", 3, 30) for process in processes[:3]]
        assert {entry.slot.index for entry in held if entry.slot} == {0, 1, 2}
        with pytest.raises(LimitedError) as refused:
            await processes[3].enter("crm", 3, 30)
        assert refused.value.limit == "crm"
        assert 0 < refused.value.retry_after_seconds <= 2
        await processes[1].leave(held[1])
        world.clock.advance(1)
        await processes[3].enter("crm", 3, 30)
        await processes[3].enter("other", 1, 30)

    run(walk())


def test_a_slot_costs_two_writes_and_at_most_a_read_a_second() -> None:
    world = World()

    async def walk() -> None:
        caps = world.caps()
        for _ in range(10):
            async with caps.slot("crm", 3, 30):
                pass

    run(walk())
    assert (world.store.writes, world.store.reads) == (20, 1)


def test_who_keeps_finding_its_own_slot_free_stops_looking_until_it_is_not() -> None:
    world = World()

    async def walk() -> None:
        caps, other = world.caps(), world.caps()
        for _ in range(30):
            world.clock.advance(5)
            async with caps.slot("crm", 2, 30) as held:
                assert held.slot is not None
        assert (world.store.writes, world.store.reads) == (60, 11)
        for _ in range(2):
            await other.enter("crm", 2, 30)
        world.clock.advance(5)
        with pytest.raises(LimitedError):
            await caps.enter("crm", 2, 30)
        assert (world.store.writes, world.store.reads) == (63, 13), "one claim in vain, then a look"

    run(walk())


def test_what_a_crashed_process_held_is_free_when_its_lease_ended_by_any_clock() -> None:
    world = World()

    async def walk() -> None:
        await world.caps().enter("crm", 1, 30)
        caps = world.caps()
        world.clock.advance(31.9)
        with pytest.raises(LimitedError):
            await caps.enter("crm", 1, 30)
        world.clock.advance(1.1)
        await caps.enter("crm", 1, 30)

    run(walk())


def test_of_many_who_ask_at_once_the_cap_gets_in() -> None:
    world = World()

    async def one(caps: ConcurrencyCaps) -> bool:
        try:
            await caps.enter("crm", 5, 30)
        except LimitedError:
            return False
        return True

    async def walk() -> list[bool]:
        return list(await asyncio.gather(*(one(world.caps()) for _ in range(40))))

    assert sum(run(walk())) == 5


def test_a_store_that_is_down_lets_each_process_in_up_to_the_cap() -> None:
    world = World()

    async def walk() -> None:
        caps = world.caps()
        world.store.down = True
        held = [await caps.enter("crm", 2, 30) for _ in range(2)]
        with pytest.raises(LimitedError):
            await caps.enter("crm", 2, 30)
        for entry in held:
            await caps.leave(entry)
        world.store.down = False
        world.clock.advance(2)
        assert (await caps.enter("crm", 2, 30)).slot is not None

    run(walk())
    assert world.metrics.counted("ProtectionUnavailable", protection="concurrency") == 1
    assert world.metrics.counted("LimitRefusals", limit="crm") == 1
