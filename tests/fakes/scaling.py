"""What the scaler reads and changes, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from flotilla.errors import StoreUnavailableError
from flotilla.scaling_ports import Backlog, Capacity, MappingState, ScalingMemory


class MemoryLaneBacklogs:
    """`LaneBacklogs` that say what they were told; a lane that they were told nothing of is empty."""

    def __init__(self) -> None:
        self.lanes: dict[str, Backlog] = {}
        self.silent: set[str] = set()

    async def backlog(self, lane: str) -> Backlog:
        await asyncio.sleep(0)
        if lane in self.silent:
            raise StoreUnavailableError("the lane did not answer")
        return self.lanes.get(lane, Backlog(0, 0))


class MemoryLaneCapacity:
    """`LaneCapacity` of an account.

    Args:
        lanes: What each lane has.
        limit: What all functions together may have reserved; None for as much as they like.

    Attributes:
        changes: What was changed: the lane, what of it, and to what.
        history: What all lanes had after each change.
        silent: Lanes of which AWS tells nothing.
        reads: How often it was read.
    """

    def __init__(self, lanes: Mapping[str, Capacity], limit: int | None = None) -> None:
        self.lanes = dict(lanes)
        self.account_limit = limit
        self.changes: list[tuple[str, str, int]] = []
        self.history: list[dict[str, Capacity]] = []
        self.silent: set[str] = set()
        self.reads = 0

    async def read(self, lane: str) -> Capacity:
        self.reads += 1
        await asyncio.sleep(0)
        if lane in self.silent:
            raise StoreUnavailableError("Lambda did not answer")
        return self.lanes[lane]

    async def limit(self, lane: str, concurrency: int) -> bool:
        await asyncio.sleep(0)
        if self.lanes[lane].mapping is MappingState.CHANGING:
            return False
        self._changed(lane, "limit", concurrency, replace(self.lanes[lane], concurrency=concurrency))
        return True

    async def reserve(self, lane: str, reserved: int) -> bool:
        await asyncio.sleep(0)
        together = reserved + sum(each.reserved or 0 for name, each in self.lanes.items() if name != lane)
        raised = reserved > (self.lanes[lane].reserved or 0)
        if raised and self.account_limit is not None and together > self.account_limit:
            return False
        self._changed(lane, "reserve", reserved, replace(self.lanes[lane], reserved=reserved))
        return True

    def _changed(self, lane: str, what: str, to: int, capacity: Capacity) -> None:
        self.lanes[lane] = capacity
        self.changes.append((lane, what, to))
        self.history.append(dict(self.lanes))


class MemoryScalingMemories:
    """`ScalingMemories` in an attribute."""

    def __init__(self) -> None:
        self.memory = ScalingMemory()
        self.stores = 0
        self.down = False

    async def read(self) -> ScalingMemory:
        await asyncio.sleep(0)
        self._answer()
        return self.memory

    async def follow(self, memory: ScalingMemory) -> bool:
        await asyncio.sleep(0)
        self._answer()
        if memory == self.memory:
            return True
        if self.memory.version not in (0, memory.version - 1):
            return False
        self.memory = memory
        self.stores += 1
        return True

    def _answer(self) -> None:
        if self.down:
            raise StoreUnavailableError("the scaler's memory did not answer")
