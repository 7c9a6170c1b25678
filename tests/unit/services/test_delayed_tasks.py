"""Tasks with a time before which, or after which, they must not start."""

from __future__ import annotations

import pytest

from flotilla.models import Delivery, Status
from flotilla.services.outcome import LONGEST_HOLD_SECONDS, LONGEST_SESSION_HOLD_SECONDS, again_in_place
from tests.unit.services import sample_agents
from tests.unit.services.fleet import Fleet, run

HOUR_SECONDS = 3600


def submitted(fleet: Fleet, *, due_in: float | None = None, agent: str = "sample.echo", **options: object) -> str:
    due_at_ms = None if due_in is None else fleet.clock.now_ms() + int(due_in * 1000)
    return str(run(fleet.submit(agent, {"value": 1}, due_at_ms=due_at_ms, **options)).state.task_id)


def early(fleet: Fleet, task: str, receive_count: int = 1) -> Delivery:
    """The task's message, on its lane whatever its time."""
    tiers = [*fleet.delays.tiers.values(), {id(m): m for m, _ in fleet.schedules.waiting.values()}]
    for message in [message for tier in tiers for message in tier.values() if message.task_id == task]:
        run(fleet.lanes.send(message))
    return fleet.delivery(task, receive_count)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message_id for delivery in deliveries]


def test_a_delayed_task_is_scheduled_and_its_message_waits_in_the_ladder(fleet: Fleet) -> None:
    task = submitted(fleet, due_in=130)
    assert run(fleet.state(task)).status is Status.SCHEDULED
    assert (fleet.kinds(task), fleet.log.appends) == (["accepted"], 1)
    assert (list(fleet.delays.tiers), fleet.lanes.sends) == ([120], 0)


def test_a_message_that_comes_too_early_waits_in_place_and_no_log_is_read(fleet: Fleet) -> None:
    task = submitted(fleet, due_in=20.5)
    assert ids(run(fleet.deliver(early(fleet, task))).again) == [task]
    assert fleet.receipts.visibility[-1] == (task, 21)
    assert (fleet.log.reads, fleet.kinds(task)) == (0, ["accepted"])


@pytest.mark.parametrize("receive_count", [1, 2])
def test_a_task_starts_when_it_is_due_and_not_before(fleet: Fleet, receive_count: int) -> None:
    task = submitted(fleet, due_in=20)
    delivery = early(fleet, task, receive_count)
    fleet.clock.advance(19.999)
    run(fleet.deliver(delivery))
    assert fleet.kinds(task) == ["accepted"]
    fleet.clock.advance(0.001)
    assert ids(run(fleet.deliver(delivery)).done) == [task]
    state = run(fleet.state(task))
    assert (state.status, state.started_at_ms) == (Status.SUCCEEDED, state.due_at_ms)


def test_what_is_due_already_is_not_held_up(fleet: Fleet) -> None:
    task = submitted(fleet, due_in=-5)
    assert ids(run(fleet.deliver(fleet.delivery(task))).done) == [task]
    assert (fleet.log.appends, fleet.log.reads) == (3, 0)


def test_a_delayed_task_of_a_session_holds_up_what_was_accepted_after_it(fleet: Fleet) -> None:
    head = submitted(fleet, due_in=100, session="s")
    follower = submitted(fleet, session="s")
    result = run(fleet.deliver(fleet.delivery(head), fleet.delivery(follower)))
    assert ids(result.again) == [head, follower]
    assert dict(fleet.receipts.visibility) == {head: 100, follower: 100}
    fleet.clock.advance(100)
    assert len(run(fleet.deliver(fleet.delivery(head, 2), fleet.delivery(follower, 2))).done) == 2
    assert sample_agents.HISTORY == [("echo", 1), ("echoed", 1)] * 2


def test_a_delay_of_half_a_day_in_a_session_is_looked_at_now_and_then(fleet: Fleet) -> None:
    """Its task may be cancelled meanwhile; what is behind it should not wait for nothing."""
    task = submitted(fleet, due_in=12 * HOUR_SECONDS, session="s")
    run(fleet.deliver(fleet.delivery(task)))
    assert fleet.receipts.visibility[-1] == (task, LONGEST_SESSION_HOLD_SECONDS)


def test_a_message_is_never_hidden_longer_than_the_queue_can() -> None:
    """SQS counts its twelve hours from the receipt, which may be a whole invocation ago."""
    assert again_in_place(1e6, None).after_seconds == LONGEST_HOLD_SECONDS <= 43_200 - 900
    assert again_in_place(1e6, "s").after_seconds == LONGEST_SESSION_HOLD_SECONDS
    assert again_in_place(0.2, None).after_seconds == 1
    assert again_in_place(-3, None).after_seconds == 0


def test_a_scheduled_message_on_its_lane_too_early_is_not_sent_round_again(fleet: Fleet) -> None:
    """The lane would take what comes back for the same message, and drop it."""
    task = submitted(fleet, due_in=200)
    delivery = early(fleet, task, receive_count=2)
    fleet.delays.tiers.clear()
    assert ids(run(fleet.deliver(delivery)).again) == [task]
    assert fleet.receipts.visibility[-1] == (task, 200)
    assert not fleet.delays.tiers


def test_a_task_whose_deadline_comes_first_is_expired_then_and_not_when_it_is_due(fleet: Fleet) -> None:
    task = submitted(fleet, due_in=100, deadline_ms=fleet.clock.now_ms() + 30_000)
    assert list(fleet.delays.tiers) == [15]
    delivery = early(fleet, task)
    run(fleet.deliver(delivery))
    assert fleet.receipts.visibility[-1] == (task, 30)
    fleet.clock.advance(30)
    assert ids(run(fleet.deliver(delivery)).done) == [task]
    assert fleet.kinds(task) == ["accepted", "expired"]


def test_a_retry_that_would_come_after_the_deadline_is_woken_at_the_deadline(fleet: Fleet) -> None:
    deadline_ms = fleet.clock.now_ms() + 50_000
    task = str(
        run(fleet.submit("sample.failing", {"value": "retry-after", "times": 9}, deadline_ms=deadline_ms)).state.task_id
    )
    run(fleet.deliver(fleet.delivery(task)))
    assert fleet.receipts.visibility[-1] == (task, 50)
    assert run(fleet.state(task)).next_attempt_ms - fleet.clock.now_ms() == 120_000, "what the other side asked for"
    fleet.clock.advance(49)
    assert ids(run(fleet.deliver(fleet.delivery(task, 2))).again) == [task]
    assert fleet.receipts.visibility[-1] == (task, 1)
    fleet.clock.advance(1)
    assert ids(run(fleet.deliver(fleet.delivery(task, 3))).done) == [task]
    assert fleet.kinds(task) == ["accepted", "started", "attempt_failed", "expired"]


@pytest.mark.parametrize(("wanted", "granted"), [("120", 120), (1e9, 43_200), ("inf", 43_200)])
def test_a_retry_after_is_respected_up_to_half_a_day(fleet: Fleet, wanted: object, granted: int) -> None:
    accepted = run(fleet.submit("sample.busy", {"value": wanted}))
    run(fleet.deliver(fleet.delivery(accepted.state.task_id)))
    state = run(fleet.state(accepted.state.task_id))
    assert (state.status, state.attempt) == (Status.RETRYING, 1)
    assert state.next_attempt_ms == fleet.clock.now_ms() + granted * 1000
    assert fleet.receipts.visibility[-1][1] == min(granted, LONGEST_HOLD_SECONDS)


def test_a_retry_hidden_for_less_than_its_wait_is_hidden_again_and_keeps_its_time(fleet: Fleet) -> None:
    accepted = run(fleet.submit("sample.busy", {"value": 43_200}))
    task = accepted.state.task_id
    run(fleet.deliver(fleet.delivery(task)))
    fleet.clock.advance(LONGEST_HOLD_SECONDS)
    run(fleet.deliver(fleet.delivery(task, 2)))
    assert fleet.receipts.visibility[-1] == (task, 43_200 - LONGEST_HOLD_SECONDS)
    assert fleet.kinds(task) == ["accepted", "started", "attempt_failed"]
