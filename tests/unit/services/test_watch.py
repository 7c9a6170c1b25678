"""When a task counts as stuck, and which tasks are looked after without a sweep."""

from __future__ import annotations

from typing import Any

import pytest

from flotilla.events import Kind, TaskState, fold
from flotilla.services.watch import look_at_ms, overdue_at_ms
from tests.logs import BODIES, START_MS, LogBuilder

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


def state(*kinds: Kind, age_ms: int = 0, **accepted: Any) -> TaskState:
    """The state of a task whose newest event came `age_ms` after it was accepted."""
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, **accepted)
    for kind in kinds:
        builder.add(kind, attempt=1)
    folded = fold(builder.events)
    folded.head_at_ms = START_MS + age_ms
    return folded


@pytest.mark.parametrize("kind", [Kind.SUCCEEDED, Kind.DEAD_LETTERED, Kind.EXPIRED, Kind.CANCELLED, Kind.WAITING])
def test_what_has_ended_or_waits_for_no_message_is_never_stuck(kind: Kind) -> None:
    ended = state(Kind.STARTED, kind, age_ms=2 * HOUR_MS)
    assert (overdue_at_ms(ended), look_at_ms(ended)) == (None, None)


def test_what_waits_for_a_signal_is_stuck_two_minutes_after_its_time_or_its_deadline() -> None:
    for until_ms, deadline_ms in ((HOUR_MS, None), (2 * HOUR_MS, HOUR_MS), (None, HOUR_MS)):
        builder = LogBuilder()
        builder.add(Kind.ACCEPTED, deadline_ms=None if deadline_ms is None else START_MS + deadline_ms)
        until = {} if until_ms is None else {"until_ms": START_MS + until_ms}
        builder.add(Kind.WAITING, attempt=1, **until)
        waiting = fold(builder.events)
        assert overdue_at_ms(waiting) == look_at_ms(waiting) == START_MS + HOUR_MS + 2 * MINUTE_MS


@pytest.mark.parametrize("kind", [Kind.SIGNALLED, Kind.RESUMED])
def test_what_goes_on_after_a_wait_is_looked_after_however_young(kind: Kind) -> None:
    young = state(Kind.STARTED, Kind.WAITING, kind, age_ms=1000)
    assert look_at_ms(young) == overdue_at_ms(young) == START_MS + 1000 + 10 * MINUTE_MS


@pytest.mark.parametrize("kind", [Kind.ATTEMPT_FAILED, Kind.PARKED])
def test_what_waits_for_its_time_is_stuck_two_minutes_after_it(kind: Kind) -> None:
    waiting = state(Kind.STARTED, kind)
    assert overdue_at_ms(waiting) == look_at_ms(waiting) == BODIES[kind]["next_attempt_ms"] + 2 * MINUTE_MS


def test_what_is_scheduled_is_stuck_two_minutes_after_it_is_due() -> None:
    scheduled = state(due_at_ms=START_MS + HOUR_MS)
    assert overdue_at_ms(scheduled) == look_at_ms(scheduled) == START_MS + HOUR_MS + 2 * MINUTE_MS


def test_what_is_queued_is_stuck_after_ten_minutes() -> None:
    assert overdue_at_ms(state()) == START_MS + 10 * MINUTE_MS
    redriven = state(Kind.DEAD_LETTERED, Kind.REDRIVEN, age_ms=5 * HOUR_MS)
    assert overdue_at_ms(redriven) == START_MS + 5 * HOUR_MS + 10 * MINUTE_MS


def test_what_runs_is_not_stuck_before_its_lease_has_ended_and_somebody_could_have_taken_over() -> None:
    assert overdue_at_ms(state(Kind.STARTED)) == START_MS + 10 * MINUTE_MS
    long = state(Kind.STARTED)
    long.lease_until_ms = START_MS + HOUR_MS
    assert overdue_at_ms(long) == START_MS + HOUR_MS + 2 * MINUTE_MS


@pytest.mark.parametrize("kinds", [[], [Kind.STARTED], [Kind.STARTED, Kind.STEP_RECORDED]])
def test_a_young_task_that_meets_no_trouble_is_left_to_the_sweeps(kinds: list[Kind]) -> None:
    young = state(*kinds, age_ms=HOUR_MS - 1)
    assert look_at_ms(young) is None
    assert overdue_at_ms(young) is not None


@pytest.mark.parametrize("kinds", [[Kind.STARTED], [Kind.DEAD_LETTERED, Kind.REDRIVEN]])
def test_what_is_set_going_long_after_it_was_accepted_is_looked_after(kinds: list[Kind]) -> None:
    late = state(*kinds, age_ms=HOUR_MS)
    assert look_at_ms(late) is not None
    assert look_at_ms(late) == overdue_at_ms(late)
