"""The fakes of what is known of the lanes keep the contracts of what they stand for."""

from __future__ import annotations

import pytest

from flotilla.models import LaneCounts, LaneReading
from flotilla.ports import LaneDepths, LaneMeter, LaneQueues
from tests.contracts.lane_status import LaneDepthsContract, LaneMeterContract, LaneQueuesContract, Lay, Measure
from tests.fakes.lane_status import MemoryLaneMeter, MemoryLaneQueues
from tests.fakes.watchlist import MemoryLaneDepths


class TestMemoryLaneDepths(LaneDepthsContract):
    @pytest.fixture
    def depths(self) -> LaneDepths:
        return MemoryLaneDepths()

    @pytest.fixture
    def lay(self, depths: MemoryLaneDepths) -> Lay:
        def lay(lane: str, counts: LaneCounts) -> None:
            depths.depths[lane] = counts.waiting

        return lay


class TestMemoryLaneQueues(LaneQueuesContract):
    @pytest.fixture
    def queues(self) -> LaneQueues:
        return MemoryLaneQueues()

    @pytest.fixture
    def lay(self, queues: MemoryLaneQueues) -> Lay:
        return queues.lanes.__setitem__


class TestMemoryLaneMeter(LaneMeterContract):
    @pytest.fixture
    def meter(self) -> LaneMeter:
        return MemoryLaneMeter()

    @pytest.fixture
    def measure(self, meter: MemoryLaneMeter) -> Measure:
        def measure(lane: str, reading: LaneReading, minutes_ago: int) -> None:
            meter.readings[lane] = reading

        return measure
