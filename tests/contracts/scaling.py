"""The contracts of what the scaler reads and changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from flotilla.scaling_ports import (
    Backlog,
    Capacity,
    LaneBacklogs,
    LaneCapacity,
    MappingState,
    Remembered,
    ScalingMemories,
    ScalingMemory,
)

Fill = Callable[[str, Backlog], None]
"""Has so many messages lie on an empty lane."""

Disable = Callable[[str], None]
"""Has a lane's mapping hand out nothing."""


class LaneBacklogsContract:
    """Provide fixtures `backlogs` and `fill`, for lanes that are empty at first, `standard` and `batch` among them."""

    def test_an_empty_lane_is_idle(self, backlogs: LaneBacklogs) -> None:
        found = asyncio.run(backlogs.backlog("standard"))
        assert found == Backlog(0, 0)
        assert found.nothing

    def test_what_waits_and_what_is_in_flight_are_told_apart(self, backlogs: LaneBacklogs, fill: Fill) -> None:
        fill("standard", Backlog(waiting=5, in_flight=2))
        assert asyncio.run(backlogs.backlog("standard")) == Backlog(5, 2)
        assert asyncio.run(backlogs.backlog("batch")).nothing


class LaneCapacityContract:
    """Provide fixtures `capacity` and `disable`.

    `standard` and `batch` have a maximum concurrency of 5 each, 7 are reserved for `standard` and nothing for `batch`.
    """

    def test_what_lanes_have_is_told(self, capacity: LaneCapacity) -> None:
        assert asyncio.run(capacity.read("standard")) == Capacity(5, 7, MappingState.ENABLED)
        assert asyncio.run(capacity.read("batch")) == Capacity(5, None, MappingState.ENABLED)

    def test_what_was_set_is_what_a_lane_has_and_no_other_has_it(self, capacity: LaneCapacity) -> None:
        async def both() -> tuple[bool, bool]:
            return await capacity.limit("standard", 9), await capacity.reserve("standard", 11)

        assert asyncio.run(both()) == (True, True)
        assert asyncio.run(capacity.read("standard")) == Capacity(9, 11, MappingState.ENABLED)
        assert asyncio.run(capacity.read("batch")) == Capacity(5, None, MappingState.ENABLED)

    def test_the_same_may_be_set_again(self, capacity: LaneCapacity) -> None:
        for _ in range(2):
            assert asyncio.run(capacity.limit("batch", 2))
            assert asyncio.run(capacity.reserve("batch", 2))
        assert asyncio.run(capacity.read("batch")) == Capacity(2, 2, MappingState.ENABLED)

    def test_a_mapping_that_an_operator_disabled_is_told_as_such_and_can_be_set(
        self, capacity: LaneCapacity, disable: Disable
    ) -> None:
        disable("standard")
        assert asyncio.run(capacity.limit("standard", 3))
        assert asyncio.run(capacity.read("standard")) == Capacity(3, 7, MappingState.DISABLED)


MEMORY = ScalingMemory(
    version=1,
    lanes={"standard": Remembered(10, 12, 1_700_000_000_000, 1_700_000_001_000, 14, 1_700_000_002_000)},
    by="run-1",
    busy_until_ms=1_700_000_050_000,
)


class ScalingMemoriesContract:
    """Provide a fixture `memories`: nothing is remembered yet."""

    def test_nothing_is_remembered_before_the_first_run(self, memories: ScalingMemories) -> None:
        assert asyncio.run(memories.read()) == ScalingMemory()

    def test_what_was_stored_is_remembered(self, memories: ScalingMemories) -> None:
        assert asyncio.run(memories.follow(MEMORY))
        assert asyncio.run(memories.read()) == MEMORY

    def test_a_memory_follows_the_one_before_and_no_other(self, memories: ScalingMemories) -> None:
        second = replace(MEMORY, version=2, by="run-2", busy_until_ms=0)
        for memory in (MEMORY, second):
            assert asyncio.run(memories.follow(memory))
        assert not asyncio.run(memories.follow(replace(second, by="run-3")))
        assert not asyncio.run(memories.follow(replace(MEMORY, by="run-4")))
        assert not asyncio.run(memories.follow(replace(MEMORY, version=4)))
        assert asyncio.run(memories.read()) == second

    def test_of_two_that_begin_only_one_does(self, memories: ScalingMemories) -> None:
        async def both() -> list[bool]:
            return list(await asyncio.gather(memories.follow(MEMORY), memories.follow(replace(MEMORY, by="run-2"))))

        assert sorted(asyncio.run(both())) == [False, True]

    def test_what_was_stored_already_may_be_stored_again(self, memories: ScalingMemories) -> None:
        for _ in range(2):
            assert asyncio.run(memories.follow(MEMORY))
