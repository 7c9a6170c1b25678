"""The fakes of what the scaler reads and changes keep the contracts of what they stand for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flotilla.scaling_ports import Capacity, LaneBacklogs, LaneCapacity, MappingState, ScalingMemories
from tests.contracts.scaling import (
    Disable,
    Fill,
    LaneBacklogsContract,
    LaneCapacityContract,
    ScalingMemoriesContract,
)
from tests.fakes.scaling import MemoryLaneBacklogs, MemoryLaneCapacity, MemoryScalingMemories


class TestMemoryLaneBacklogs(LaneBacklogsContract):
    @pytest.fixture
    def backlogs(self) -> LaneBacklogs:
        return MemoryLaneBacklogs()

    @pytest.fixture
    def fill(self, backlogs: MemoryLaneBacklogs) -> Fill:
        return backlogs.lanes.__setitem__


class TestMemoryLaneCapacity(LaneCapacityContract):
    @pytest.fixture
    def capacity(self) -> LaneCapacity:
        return MemoryLaneCapacity({"standard": Capacity(5, 7), "batch": Capacity(5, None)})

    @pytest.fixture
    def disable(self, capacity: MemoryLaneCapacity) -> Disable:
        def disable(lane: str) -> None:
            capacity.lanes[lane] = replace(capacity.lanes[lane], mapping=MappingState.DISABLED)

        return disable


class TestMemoryScalingMemories(ScalingMemoriesContract):
    @pytest.fixture
    def memories(self) -> ScalingMemories:
        return MemoryScalingMemories()
