"""The fakes of the ladder and the scheduler keep the contracts of what they stand for."""

from __future__ import annotations

import pytest

from flotilla.models import TaskMessage
from flotilla.ports import Delays, Schedules
from tests.contracts.delays import DelaysContract, MessagesIn
from tests.contracts.schedules import AT_MS, LATER, Scheduled, SchedulesContract, put
from tests.fakes.delays import MemoryDelays
from tests.fakes.schedules import MemorySchedules


class TestMemoryDelays(DelaysContract):
    @pytest.fixture
    def delays(self) -> Delays:
        return MemoryDelays()

    @pytest.fixture
    def messages_in(self, delays: MemoryDelays) -> MessagesIn:
        return delays.take


class TestMemorySchedules(SchedulesContract):
    @pytest.fixture
    def schedules(self) -> Schedules:
        return MemorySchedules()

    @pytest.fixture
    def scheduled(self, schedules: MemorySchedules) -> Scheduled:
        def waiting() -> list[tuple[TaskMessage, int]]:
            return list(schedules.waiting.values())

        return waiting


def test_a_schedule_that_has_fired_is_gone() -> None:
    schedules = MemorySchedules()
    put(schedules, LATER)
    assert schedules.fire(AT_MS - 1) == []
    assert schedules.fire(AT_MS) == [LATER]
    assert schedules.fire(AT_MS) == []
