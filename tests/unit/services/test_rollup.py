"""The rollup: what an hour came to follows from what lies in the archive, whenever it came there."""

from __future__ import annotations

import asyncio

import pytest

from flotilla.errors import StoreUnavailableError
from flotilla.primitives.retention import DAY_MS
from flotilla.primitives.usage_hour import HOUR_MS, hour_of
from flotilla.primitives.usage_keys import after_hour
from flotilla.services.rollup import Rollup, RollupReport, late_days
from tests.fakes import ManualClock
from tests.fakes.usage import MemoryFinishedLogs, MemoryUsageHours
from tests.logs import START_MS
from tests.unit.services.test_usage_folding import PRICES, succeeded

HOUR = hour_of(START_MS)
RETENTION_DAYS = 30


class Desk:
    """A rollup that runs at the sixth minute after the hour of `START_MS`."""

    def __init__(self) -> None:
        self.clock = ManualClock(HOUR + HOUR_MS + 360_000)
        self.logs = MemoryFinishedLogs()
        self.hours = MemoryUsageHours()

    def lay(self, name: str, *tasks: str, hours_ago: int = 0) -> str:
        """Archive tasks that ended in the hour, or in one before it."""
        at_ms = START_MS - hours_ago * HOUR_MS
        key = f"{after_hour(at_ms)}/{name}.jsonl.gz"
        self.logs.objects[key] = [succeeded(task, at_ms=at_ms) for task in tasks]
        return key

    def run(self, seconds: float = 600) -> RollupReport:
        rollup = Rollup(
            logs=self.logs, hours=self.hours, prices=PRICES, clock=self.clock, retention_days=RETENTION_DAYS
        )
        self.logs.read.clear()
        return asyncio.run(rollup.run(self.clock.now_ms() + int(seconds * 1000)))

    def tasks(self, hours_ago: int = 0) -> int:
        hour = self.hours.hours.get(HOUR - hours_ago * HOUR_MS)
        return 0 if hour is None else hour.total.tasks


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_an_hour_that_is_over_is_added_up_from_all_its_objects(desk: Desk) -> None:
    desk.lay("one", "a", "b")
    desk.lay("two", "c")
    report = desk.run()
    assert (report.hours, report.objects, report.complete) == (1, 2, True)
    assert desk.tasks() == 3
    assert desk.hours.whole == HOUR + HOUR_MS


def test_an_hour_that_is_not_over_is_left_alone(desk: Desk) -> None:
    desk.lay("now", "a", hours_ago=-1)
    desk.lay("one", "b")
    desk.clock.advance(-120)
    assert desk.run().hours == 0, "the last logs of the hour may still be on their way"
    desk.clock.advance(120)
    assert desk.run().hours == 1
    assert (desk.tasks(), desk.tasks(-1)) == (1, 0)


def test_a_run_that_finds_all_as_it_was_reads_no_logs_and_writes_nothing(desk: Desk) -> None:
    desk.lay("one", "a")
    desk.run()
    puts = desk.hours.puts
    report = desk.run()
    assert (report.hours, report.unchanged, report.objects) == (0, 1, 0)
    assert (desk.logs.read, desk.hours.puts) == ([], puts)


def test_what_is_archived_late_is_found_and_a_log_archived_twice_is_counted_once(desk: Desk) -> None:
    desk.lay("one", "a", "b", hours_ago=5)
    desk.run()
    desk.lay("again", "b", "c", hours_ago=5)
    desk.clock.advance(600)
    assert desk.run().hours == 1
    assert desk.tasks(5) == 3


@pytest.mark.parametrize("days", [1, 2, 7, 30, 44])
def test_what_is_archived_days_late_is_found_within_a_day(desk: Desk, days: int) -> None:
    desk.run()
    desk.lay("late", "a", hours_ago=24 * days)
    for _ in range(24):
        desk.clock.advance(3600)
        desk.run()
    assert desk.tasks(24 * days) == 1


def test_a_first_run_adds_up_all_that_was_ever_archived(desk: Desk) -> None:
    for hours_ago in (0, 5, 100, 3000):
        desk.lay("old", f"task-{hours_ago}", hours_ago=hours_ago)
    assert desk.run().hours == 4
    assert [desk.tasks(hours_ago) for hours_ago in (0, 5, 100, 3000)] == [1, 1, 1, 1]


def test_a_run_without_the_time_for_all_goes_on_where_it_was(desk: Desk) -> None:
    for hours_ago in range(4):
        desk.lay("one", f"task-{hours_ago}", hours_ago=hours_ago)

    class Slow(MemoryFinishedLogs):
        async def logs(self, key: str):  # type: ignore[no-untyped-def]  # of the fake's own type
            desk.clock.advance(100)
            return await super().logs(key)

    desk.logs = Slow(desk.logs.objects)
    report = desk.run(seconds=150)
    assert (report.hours, report.complete) == (2, False)
    assert desk.hours.whole == HOUR - HOUR_MS, "whoever asks reads what comes later from the archive itself"
    report = desk.run(seconds=250)
    assert (report.hours, report.complete) == (2, True)
    assert desk.hours.whole == HOUR + HOUR_MS


def test_an_object_that_holds_no_logs_holds_up_nothing(desk: Desk) -> None:
    key = desk.lay("broken")
    desk.logs.broken.add(key)
    desk.lay("whole", "a")
    report = desk.run()
    assert (report.failed, report.complete, desk.tasks()) == ({key}, True, 1)


def test_where_the_archive_does_not_answer_nothing_is_taken_for_added_up(desk: Desk) -> None:
    desk.lay("one", "a")
    desk.logs.down = True
    with pytest.raises(StoreUnavailableError):
        desk.run()
    assert (desk.hours.whole, desk.hours.puts) == (None, 0)
    desk.logs.down = False
    desk.run()
    assert desk.tasks() == 1


def test_each_day_is_looked_at_once_a_day_and_no_run_looks_at_many() -> None:
    looked: list[int] = []
    for hour in range(24):
        over_ms = HOUR // DAY_MS * DAY_MS + hour * HOUR_MS
        days = late_days(over_ms, over_ms - 6 * HOUR_MS, 45)
        assert len(days) <= 2
        looked += days
    assert len(looked) == len(set(looked))
    today = HOUR // DAY_MS
    assert set(looked) >= {day * DAY_MS for day in range(today - 45, today)}
