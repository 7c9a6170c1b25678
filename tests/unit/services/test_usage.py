"""What usage is told: of the hours that were added up, and of the latest from the archive itself."""

from __future__ import annotations

import asyncio

import pytest

from flotilla.primitives.usage_hour import HOUR_MS
from flotilla.services.usage import UsageReading, UsageService
from tests.unit.services.test_rollup import HOUR, Desk
from tests.unit.services.test_usage_folding import PRICES


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    for hours_ago in range(-1, 4):
        desk.lay("one", f"task-{hours_ago}", hours_ago=hours_ago)
        desk.lay("two", f"task-{hours_ago}", f"other-{hours_ago}", hours_ago=hours_ago)
    return desk


def read(desk: Desk, since: int = 0, until: int = 2, *, most: int = 100, seconds: int = 20) -> UsageReading:
    """From so many hours after the hour of the test until so many."""
    service = UsageService(logs=desk.logs, hours=desk.hours, prices=PRICES, clock=desk.clock, most_live_objects=most)
    desk.logs.read.clear()
    give_up_ms = desk.clock.now_ms() + seconds * 1000
    return asyncio.run(service.read(HOUR + since * HOUR_MS, HOUR + until * HOUR_MS, give_up_ms))


def test_before_anything_is_added_up_the_logs_are_read(desk: Desk) -> None:
    reading = read(desk, -3)
    assert (reading.used.total.tasks, reading.complete) == (10, True)


def test_what_was_added_up_is_not_read_again_and_makes_no_difference(desk: Desk) -> None:
    before = read(desk, -3)
    desk.run()
    after = read(desk, -3)
    assert len(desk.logs.read) == 2, "of the hour that is not over"
    assert after.used.to_json() | {"digest": ""} == before.used.to_json() | {"digest": ""}


def test_hours_are_whole_whatever_moment_in_them_is_named(desk: Desk) -> None:
    service = UsageService(logs=desk.logs, hours=desk.hours, prices=PRICES, clock=desk.clock)
    reading = asyncio.run(service.read(HOUR + 1, HOUR + 2, desk.clock.now_ms() + 1))
    assert (reading.since_ms, reading.until_ms, reading.used.total.tasks) == (HOUR, HOUR + HOUR_MS, 2)


def test_only_the_hours_that_are_asked_for_count(desk: Desk) -> None:
    desk.run()
    assert read(desk, -2, 0).used.total.tasks == 4
    assert read(desk, 1, 2).used.total.tasks == 2
    assert read(desk, 5, 9).used.total.tasks == 0


def test_where_more_is_to_be_read_than_may_be_it_is_said(desk: Desk) -> None:
    reading = read(desk, -3, most=3)
    assert not reading.complete
    assert len(desk.logs.read) == 3
    assert 0 < reading.used.total.tasks < 10


def test_where_the_time_is_over_it_is_said(desk: Desk) -> None:
    reading = read(desk, -3, seconds=0)
    assert (reading.complete, desk.logs.read) == (False, [])


def test_an_object_that_cannot_be_read_makes_it_incomplete(desk: Desk) -> None:
    desk.logs.broken.add(desk.lay("broken"))
    reading = read(desk, -3)
    assert (reading.complete, reading.used.total.tasks) == (False, 10)
