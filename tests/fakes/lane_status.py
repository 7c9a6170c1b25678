"""What is known of the lanes, in memory."""

from __future__ import annotations

from collections.abc import Mapping

from flotilla.errors import StoreUnavailableError
from flotilla.models import LaneCounts, LaneReading


class MemoryLaneQueues:
    """`LaneQueues` that say what they were told; a lane that they were told nothing of is empty."""

    def __init__(self) -> None:
        self.lanes: dict[str, LaneCounts] = {}
        self.down = False

    async def counts(self, lane: str) -> LaneCounts:
        if self.down:
            raise StoreUnavailableError("the lane did not answer")
        return self.lanes.get(lane, LaneCounts(0, 0, 0))


class MemoryLaneMeter:
    """`LaneMeter` that says what it was told."""

    def __init__(self) -> None:
        self.readings: dict[str, LaneReading] = {}

    async def latest(self) -> Mapping[str, LaneReading]:
        return dict(self.readings)
