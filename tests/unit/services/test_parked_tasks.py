"""Work that waits for a dependency: no attempt used, not on the lane for long, and no stampede at its release."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flotilla.errors import RetryableError
from flotilla.models import Delivery, Status, TaskMessage
from tests.fakes.delays import MemoryDelays
from tests.unit.services import sample_agents
from tests.unit.services.fleet import Fleet, run


def submitted(fleet: Fleet, wait_seconds: float, times: int = 1, **options: object) -> str:
    value = {"value": wait_seconds, "times": times}
    return str(run(fleet.submit("sample.parking", value, **options)).state.task_id)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message_id for delivery in deliveries]


def wait_seconds(fleet: Fleet, task: str) -> float:
    return float(run(fleet.state(task)).next_attempt_ms - fleet.clock.now_ms()) / 1000


def arrived(fleet: Fleet, message: TaskMessage) -> Delivery:
    """What has come through the ladder, on its lane."""
    run(fleet.lanes.send(message))
    return Delivery("arrived", "arrived/1", message.group, 1, message.to_body())


def test_a_short_wait_is_spent_in_place(fleet: Fleet) -> None:
    task = submitted(fleet, 30)
    assert ids(run(fleet.deliver(fleet.delivery(task))).again) == [task]
    assert fleet.kinds(task) == ["accepted", "started", "parked"]
    assert 30 <= wait_seconds(fleet, task) <= 45
    assert fleet.receipts.visibility[-1] == (task, wait_seconds(fleet, task))
    assert not fleet.delays.tiers


def test_a_long_wait_is_spent_in_the_ladder_and_the_message_is_done(fleet: Fleet) -> None:
    task = submitted(fleet, 600)
    assert ids(run(fleet.deliver(fleet.delivery(task))).done) == [task]
    assert 600 <= wait_seconds(fleet, task) <= 630
    (message,) = fleet.delays.take(480)
    state = run(fleet.state(task))
    assert (message.seq, message.hash, message.attempt) == (state.head_seq, state.head_hash, 1)
    assert (message.not_before_ms, message.charged, message.hops) == (state.next_attempt_ms, 0, 0)


def test_what_comes_back_from_the_ladder_goes_on_where_it_was(fleet: Fleet) -> None:
    task = submitted(fleet, 600)
    run(fleet.deliver(fleet.delivery(task)))
    (message,) = fleet.delays.take(480)
    fleet.clock.advance(wait_seconds(fleet, task))
    assert ids(run(fleet.deliver(arrived(fleet, message))).done) == ["arrived"]
    state = run(fleet.state(task))
    assert (state.status, state.attempt, state.attempts_charged) == (Status.SUCCEEDED, 2, 0)


def test_a_session_waits_in_place_however_long(fleet: Fleet) -> None:
    head = submitted(fleet, 600, session="s")
    follower = submitted(fleet, 0, times=0, session="s")
    result = run(fleet.deliver(fleet.delivery(head), fleet.delivery(follower)))
    assert ids(result.again) == [head, follower]
    assert not fleet.delays.tiers
    waits = dict(fleet.receipts.visibility)
    assert 600 <= waits[head] == waits[follower] <= 630


def test_a_release_is_spread(fleet: Fleet) -> None:
    tasks = [submitted(fleet, 40) for _ in range(20)]
    for task in tasks:
        run(fleet.deliver(fleet.delivery(task)))
    waits = {wait_seconds(fleet, task) for task in tasks}
    assert len(waits) > 5 and min(waits) >= 40 and max(waits) <= 60


def test_the_old_message_of_a_task_in_the_ladder_puts_it_there_again_and_is_done(fleet: Fleet) -> None:
    """The process died after `parked`, before or after it had sent the message."""
    task = submitted(fleet, 600)
    run(fleet.deliver(fleet.delivery(task)))
    fleet.delays.tiers.clear()
    assert ids(run(fleet.deliver(fleet.delivery(task, 2))).done) == [task]
    (message,) = fleet.delays.take(480)
    assert message.not_before_ms == run(fleet.state(task)).next_attempt_ms
    assert fleet.kinds(task) == ["accepted", "started", "parked"]


def test_the_message_of_the_wait_itself_is_kept_in_place(fleet: Fleet) -> None:
    """It is on its lane too soon; sent round again, the lane would take it for the one it had already."""
    task = submitted(fleet, 600)
    run(fleet.deliver(fleet.delivery(task)))
    (message,) = fleet.delays.take(480)
    delivery = arrived(fleet, message)
    assert ids(run(fleet.deliver(delivery)).again) == ["arrived"]
    assert fleet.receipts.visibility[-1] == ("arrived", wait_seconds(fleet, task))
    assert not fleet.delays.tiers


def test_two_messages_of_one_task_run_it_once(fleet: Fleet) -> None:
    task = submitted(fleet, 600)
    run(fleet.deliver(fleet.delivery(task)))
    (message,) = fleet.delays.take(480)
    fleet.clock.advance(wait_seconds(fleet, task))
    copies = [arrived(fleet, message), replace(fleet.delivery(task, 2), message_id="copy")]
    assert ids(run(fleet.deliver(*copies)).done) == ["arrived", "copy"]
    assert sample_agents.HISTORY == [("parking", 2)]


class DelaysThatAreDown(MemoryDelays):
    async def send(self, message: TaskMessage, tier_seconds: int) -> None:
        raise RetryableError("down")


def test_while_the_ladder_is_down_the_message_stays_on_the_lane(fleet: Fleet) -> None:
    task = submitted(fleet, 600)
    fleet.delays.__class__ = DelaysThatAreDown
    for receive in (1, 2):
        assert ids(run(fleet.deliver(fleet.delivery(task, receive))).again) == [task]
    assert fleet.kinds(task) == ["accepted", "started", "parked"]
    fleet.delays.__class__ = MemoryDelays
    assert ids(run(fleet.deliver(fleet.delivery(task, 3))).done) == [task]
    assert len(fleet.delays.take(480)) == 1


def test_a_task_in_the_ladder_comes_out_at_its_deadline(fleet: Fleet) -> None:
    deadline_ms = fleet.clock.now_ms() + 300_000
    task = submitted(fleet, 600, deadline_ms=deadline_ms)
    run(fleet.deliver(fleet.delivery(task)))
    (message,) = fleet.delays.take(120)
    assert message.not_before_ms == deadline_ms
    fleet.clock.advance(300)
    run(fleet.deliver(arrived(fleet, message)))
    assert fleet.kinds(task) == ["accepted", "started", "parked", "expired"]


@pytest.mark.parametrize("wait", [30, 600])
def test_parking_as_often_as_it_likes_uses_up_no_attempt(fleet: Fleet, wait: float) -> None:
    task = submitted(fleet, wait, times=12, max_attempts=2)
    for receive in range(1, 14):
        run(fleet.deliver(fleet.delivery(task, receive)))
        fleet.clock.advance(wait + 31)
    state = run(fleet.state(task))
    assert (state.status, state.attempt, state.attempts_charged) == (Status.SUCCEEDED, 13, 0)
