"""The fakes of the ladder, the scheduler and the watchlist keep the contracts of what they stand for."""

from __future__ import annotations

import pytest

from flotilla.models import TaskMessage
from flotilla.ports import Delays, ReadModel, Schedules, Watchlist
from tests.contracts.delays import DelaysContract, MessagesIn
from tests.contracts.schedules import AT_MS, LATER, Scheduled, SchedulesContract, put
from tests.contracts.watchlist import WatchlistContract
from tests.fakes.delays import MemoryDelays
from tests.fakes.schedules import MemorySchedules
from tests.fakes.views import MemoryReadModel
from tests.fakes.watchlist import MemoryWatchlist


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


class TestMemoryWatchlist(WatchlistContract):
    @pytest.fixture
    def views(self) -> ReadModel:
        return MemoryReadModel()

    @pytest.fixture
    def watchlist(self, views: MemoryReadModel) -> Watchlist:
        return MemoryWatchlist(views.entries)


def test_a_schedule_that_has_fired_is_gone() -> None:
    schedules = MemorySchedules()
    put(schedules, LATER)
    assert schedules.fire(AT_MS - 1) == []
    assert schedules.fire(AT_MS) == [LATER]
    assert schedules.fire(AT_MS) == []
