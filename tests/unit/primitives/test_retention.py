"""The times of retention fit together: whoever keeps to them never comes too late."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flotilla.events import Kind
from flotilla.primitives.retention import (
    DAY_MS,
    came_late,
    dropped_before_ms,
    expires_at,
    extended_until,
    live_until_ms,
    next_look_ms,
    noticed_before_ms,
)
from tests.logs import START_MS, LogBuilder

DAYS = st.integers(1, 400)
LATER_MS = st.integers(0, 800 * DAY_MS)


@given(DAYS, st.none() | LATER_MS)
def test_a_task_is_noticed_a_week_before_its_first_event_may_go(days: int, due_in_ms: int | None) -> None:
    builder = LogBuilder()
    due = {} if due_in_ms is None else {"due_at_ms": START_MS + due_in_ms}
    dropped_ms = expires_at(builder.add(Kind.ACCEPTED, **due), days) * 1000
    noticed_ms = dropped_ms - 7 * DAY_MS
    assert noticed_before_ms(noticed_ms, days) >= START_MS, "by then at the latest"
    assert noticed_before_ms(START_MS + days * DAY_MS, days) < START_MS, "and not before what was promised is over"


@given(DAYS, LATER_MS)
def test_what_was_extended_is_looked_at_again_a_week_before_any_of_it_may_go(days: int, later_ms: int) -> None:
    now_ms = START_MS + later_ms
    look_ms = next_look_ms(now_ms, days)
    assert extended_until(now_ms, days) == (look_ms + 7 * DAY_MS) // 1000
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED)
    event = builder.add(Kind.PARKED)
    written_later = expires_at(event, days) + (now_ms - event.at_ms) // 1000
    assert written_later * 1000 >= look_ms, "nor any event that is written meanwhile"


@given(DAYS)
def test_a_task_that_goes_on_so_late_that_it_was_passed_by_is_known(days: int) -> None:
    passed_ms = START_MS + (days + 7) * DAY_MS
    assert noticed_before_ms(passed_ms, days) == START_MS
    assert came_late(START_MS, passed_ms, days)
    assert came_late(START_MS, passed_ms - DAY_MS, days), "with a day to spare"
    assert not came_late(START_MS, START_MS + days * DAY_MS, days)


@given(DAYS)
def test_a_log_is_whole_as_long_as_nothing_of_it_can_have_gone(days: int) -> None:
    builder = LogBuilder()
    assert live_until_ms(START_MS, days) == expires_at(builder.add(Kind.ACCEPTED), days) * 1000


@given(DAYS, st.integers(0, 999), st.integers(-1000, 1000))
def test_whoever_asks_at_the_very_moment_of_the_drop_looks_in_the_archive(days: int, part_ms: int, off_ms: int) -> None:
    event = LogBuilder().add(Kind.ACCEPTED, at_ms=START_MS + part_ms)
    now_ms = START_MS + part_ms + (days + 14) * DAY_MS + off_ms
    if expires_at(event, days) <= now_ms // 1000:
        assert live_until_ms(event.at_ms, days) <= now_ms
        assert dropped_before_ms(now_ms, days) > event.at_ms
