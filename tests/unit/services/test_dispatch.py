"""Where a message goes: to its lane, into a tier, or into a schedule, by its time alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flotilla.errors import RetryableError
from flotilla.events import Kind, fold
from flotilla.models import Status, TaskMessage
from flotilla.primitives.ladder import SCHEDULE_LEAD_SECONDS, Ladder
from flotilla.services.dispatch import Dispatch, message_for, wake_ms
from tests.fakes.delays import MemoryDelays
from tests.logs import log_of
from tests.unit.services.fleet import Fleet, run

HOUR_SECONDS = 3600


def due_in(fleet: Fleet, seconds: float | None, **changes: object) -> TaskMessage:
    message = message_for(fold(log_of()))
    not_before_ms = None if seconds is None else fleet.clock.now_ms() + int(seconds * 1000)
    return replace(message, session=None, not_before_ms=not_before_ms, **changes)  # type: ignore[arg-type]


def sent(fleet: Fleet) -> dict[str | int, int]:
    """How many messages lie where."""
    found: dict[str | int, int] = {tier: len(messages) for tier, messages in fleet.delays.tiers.items()}
    found |= {"lane": len(fleet.lanes.sent)} if fleet.lanes.sent else {}
    return found | ({"schedule": len(fleet.schedules.waiting)} if fleet.schedules.waiting else {})


@pytest.mark.parametrize(
    ("seconds", "place"),
    [(None, "lane"), (-5, "lane"), (0, "lane"), (1, 1), (14, 1), (15, 15), (119, 15), (400, 120), (900, 900)],
)
def test_what_is_due_within_the_ladders_reach_goes_to_its_lane_or_into_a_tier(
    fleet: Fleet, seconds: float | None, place: str | int
) -> None:
    run(fleet.dispatch(due_in(fleet, seconds)))
    assert sent(fleet) == {place: 1}


def test_what_lies_beyond_is_scheduled_ahead_of_its_time(fleet: Fleet) -> None:
    message = due_in(fleet, HOUR_SECONDS)
    run(fleet.dispatch(message))
    assert sent(fleet) == {"schedule": 1}
    at_ms = message.not_before_ms - SCHEDULE_LEAD_SECONDS * 1000
    assert fleet.schedules.fire(at_ms - 1) == []
    assert fleet.schedules.fire(at_ms) == [message]


def test_who_makes_no_schedules_uses_the_longest_tier(fleet: Fleet) -> None:
    run(fleet.tools.dispatch(due_in(fleet, HOUR_SECONDS)))
    assert sent(fleet) == {900: 1}


def test_a_sessions_message_waits_on_its_lane_however_far_its_time(fleet: Fleet) -> None:
    run(fleet.dispatch(replace(due_in(fleet, HOUR_SECONDS), session="s")))
    assert sent(fleet) == {"lane": 1}


def test_the_same_state_dispatched_twice_is_one_message(fleet: Fleet) -> None:
    for seconds in (None, 400, HOUR_SECONDS):
        for _ in range(2):
            run(fleet.dispatch(due_in(fleet, seconds)))
    assert sent(fleet) == {"lane": 1, 120: 1, "schedule": 1}


def test_a_batch_goes_where_each_message_belongs_and_answers_in_its_order(fleet: Fleet) -> None:
    messages = [
        due_in(fleet, seconds, task_id=f"tsk_{number}")
        for number, seconds in enumerate((400, None, HOUR_SECONDS, 0, 20))
    ]
    assert run(fleet.dispatch.batch(messages)) == [True] * 5
    assert sent(fleet) == {"lane": 2, 120: 1, 15: 1, "schedule": 1}
    assert [message.task_id for message in fleet.lanes.sent.values()] == ["tsk_1", "tsk_3"]


def test_of_a_batch_what_is_not_surely_sent_is_told_alone(fleet: Fleet) -> None:
    class DelaysThatAreDown(MemoryDelays):
        async def send(self, message: TaskMessage, tier_seconds: int) -> None:
            raise RetryableError("down")

    dispatch = Dispatch(
        lanes=fleet.lanes,
        delays=DelaysThatAreDown(),
        schedules=fleet.schedules,
        ladder=Ladder([15]),
        clock=fleet.clock,
    )
    messages = [due_in(fleet, 20), due_in(fleet, None), due_in(fleet, HOUR_SECONDS)]
    assert run(dispatch.batch(messages)) == [False, True, True]


def test_an_empty_batch_is_no_call(fleet: Fleet) -> None:
    assert run(fleet.dispatch.batch([])) == []
    assert fleet.lanes.sends == 0


@pytest.mark.parametrize(
    ("kinds", "status"),
    [((), Status.QUEUED), ((Kind.STARTED, Kind.ATTEMPT_FAILED), Status.RETRYING), ((Kind.PARKED,), Status.PARKED)],
)
def test_a_message_says_when_its_task_is_due(kinds: tuple[Kind, ...], status: Status) -> None:
    state = fold(log_of(*kinds))
    assert state.status is status
    assert message_for(state).not_before_ms == state.next_attempt_ms
    assert (message_for(state).seq, message_for(state).hash) == (state.head_seq, state.head_hash)


def test_a_scheduled_tasks_message_says_when_it_is_due_and_a_redriven_ones_nothing(fleet: Fleet) -> None:
    due_at_ms = fleet.clock.now_ms() + 5000
    state = run(fleet.submit("sample.echo", {}, due_at_ms=due_at_ms)).state
    assert message_for(state).not_before_ms == due_at_ms
    state.status = Status.QUEUED
    assert message_for(state).not_before_ms is None


def test_a_task_is_looked_at_when_it_is_due_or_when_its_deadline_passes() -> None:
    assert wake_ms(None, 5) is None
    assert wake_ms(7, None) == 7
    assert (wake_ms(7, 5), wake_ms(5, 7)) == (5, 5)


@pytest.mark.parametrize(("seconds", "place"), [(-1, "lane"), (14, 1), (400, 120), (HOUR_SECONDS, "schedule")])
def test_the_end_of_a_wait_does_not_hold_up_its_session(fleet: Fleet, seconds: int, place: str | int) -> None:
    run(fleet.dispatch(replace(due_in(fleet, seconds), session="s"), in_order=False))
    assert sent(fleet) == {place: 1}
