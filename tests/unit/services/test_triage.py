"""What lies in a dead letter queue becomes a fact; nothing healthy dies of it, and nothing is in the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flotilla.errors import RetryableError
from flotilla.events import Event, Kind, verify_chain
from flotilla.models import Delivery, Status
from flotilla.read_model import UnreadableMessage
from flotilla.services.triage import MAX_BODY_CHARACTERS, RECEIVE_LIMIT, unreadable_body_key
from tests.fakes import MemoryEventLog
from tests.fakes.views import MemoryReadModel
from tests.logs import LogBuilder, log_of
from tests.unit.services.crashes import Calls
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.triage_desk import Desk, dead, dead_of, follow, ids


@pytest.fixture
def desk(fleet: Fleet) -> Desk:
    return Desk(fleet)


def test_a_task_whose_message_was_received_too_often_goes_on_with_a_new_one(desk: Desk) -> None:
    task = desk.submitted()
    result = desk.triage(dead_of(desk.newest(task)))
    assert (ids(result.done), result.again) == (["m1"], [])
    events = run(desk.fleet.log.read(task))
    verify_chain(events)
    parked = events[-1]
    assert (parked.kind, parked.body["reason"], parked.actor) == (Kind.PARKED, RECEIVE_LIMIT, "triage:fleet-triage/1")
    message = desk.newest(task)
    assert (message.seq, message.not_before_ms) == (1, parked.body["next_attempt_ms"])
    assert parked.body["next_attempt_ms"] > desk.fleet.clock.now_ms()
    desk.fleet.clock.advance(60)
    run(desk.fleet.deliver(Delivery("m2", "r", message.group, 1, message.to_body())))
    assert desk.kinds(task) == ["accepted", "parked", "started", "succeeded"]
    assert not desk.unreadable()


def test_it_costs_one_read_one_write_and_one_message(desk: Desk) -> None:
    calls = Calls()
    desk.triage(dead_of(desk.newest(desk.submitted())), calls=calls)
    assert calls.made == ["read", "append", "send"]


def test_the_second_limit_in_a_row_without_a_sign_of_life_ends_it(desk: Desk) -> None:
    task = desk.submitted()
    desk.triage(dead_of(desk.newest(task)))
    desk.triage(dead_of(desk.newest(task), "m2"))
    state = run(desk.fleet.state(task))
    assert (state.status, state.error.code) == (Status.DEAD_LETTERED, "undeliverable")
    assert run(desk.fleet.log.read(task))[-1].body["cause"] == "undeliverable"


@pytest.mark.parametrize("life", ["started", "paused"])
def test_with_any_sign_of_life_between_two_limits_it_goes_on(desk: Desk, life: str) -> None:
    """A worker that holds it up for a pause is alive as well: throttling kills nothing."""
    task = desk.submitted("sample.failing")
    for _ in range(4):
        desk.triage(dead_of(desk.newest(task)))
        head = run(desk.fleet.log.read(task))[-1]
        now_ms = desk.fleet.clock.now_ms()
        if life == "started":
            event = follow(head, Kind.STARTED, {"lease_until_ms": now_ms + 1000})
        else:
            event = follow(head, Kind.PARKED, {"reason": "paused", "next_attempt_ms": now_ms})
        assert run(desk.fleet.log.append(event)) is None
        desk.fleet.clock.advance(3600)
    assert run(desk.fleet.state(task)).status is not Status.DEAD_LETTERED


def test_a_sessions_task_that_only_waited_behind_others_is_given_more_time(desk: Desk) -> None:
    task = desk.submitted(session="s")
    for _ in range(10):
        desk.triage(dead_of(desk.newest(task)))
        assert run(desk.fleet.state(task)).status is Status.PARKED
    desk.triage(dead_of(desk.newest(task)))
    assert run(desk.fleet.state(task)).status is Status.DEAD_LETTERED


def test_waits_grow_from_round_to_round_and_are_not_alike(desk: Desk) -> None:
    def waits(task: str) -> list[int]:
        found = []
        for _ in range(3):
            desk.triage(dead_of(desk.newest(task)))
            found.append(run(desk.fleet.state(task)).next_attempt_ms - desk.fleet.clock.now_ms())
        return found

    one, service = waits(desk.submitted(session="s")), desk.service()
    assert one == sorted(one)
    assert 30_000 <= one[0] <= 45_000

    tasks = [desk.submitted() for _ in range(8)]
    messages = [dead_of(desk.newest(task), f"m{number}") for number, task in enumerate(tasks)]
    run(service.run(messages, desk.receipts))
    assert len({run(desk.fleet.state(task)).next_attempt_ms for task in tasks}) > 4


def test_the_time_a_task_waits_for_is_kept(desk: Desk) -> None:
    due_ms = desk.fleet.clock.now_ms() + 500_000
    task = desk.submitted(due_at_ms=due_ms)
    desk.triage(dead_of(desk.newest(task)))
    assert run(desk.fleet.state(task)).next_attempt_ms == due_ms
    assert desk.newest(task).not_before_ms == due_ms

    builder = LogBuilder("tsk_1")
    builder.add(Kind.ACCEPTED)
    builder.add(Kind.STARTED, attempt=1)
    failed = builder.add(Kind.ATTEMPT_FAILED, attempt=1, next_attempt_ms=due_ms)
    desk.fleet.log.logs["tsk_1"] = {event.seq: event for event in builder.events}
    desk.triage(dead_of(replace(desk.newest(task), task_id="tsk_1", seq=0, hash=failed.hash)))
    assert run(desk.fleet.state("tsk_1")).next_attempt_ms == due_ms


@pytest.mark.parametrize("end", [Kind.SUCCEEDED, Kind.DEAD_LETTERED, Kind.CANCELLED, Kind.EXPIRED, Kind.WAITING])
def test_for_what_has_ended_or_waits_for_somebody_nothing_is_left_to_do(desk: Desk, end: Kind) -> None:
    task = desk.submitted()
    desk.fleet.log.logs[task] = {event.seq: event for event in log_of(Kind.STARTED, end, task_id=task)}
    calls = Calls()
    assert ids(desk.triage(dead_of(desk.newest(task)), calls=calls).done) == ["m1"]
    assert calls.made == ["read"]


def test_a_task_somebody_works_on_is_looked_at_when_its_lease_is_over(desk: Desk) -> None:
    task = desk.submitted()
    head = run(desk.fleet.log.read(task))[-1]
    lease_ms = desk.fleet.clock.now_ms() + 10_000
    run(desk.fleet.log.append(follow(head, Kind.STARTED, {"lease_until_ms": lease_ms})))
    result = desk.triage(dead_of(desk.newest(task)))
    assert (result.done, ids(result.again)) == ([], ["m1"])
    assert desk.receipts.visibility == [("m1", 11)]
    desk.fleet.clock.advance(11)
    assert ids(desk.triage(dead_of(desk.newest(task))).done) == ["m1"]
    assert desk.kinds(task) == ["accepted", "started", "parked"]


def test_a_task_whose_last_attempt_was_lost_with_its_worker_is_dead(desk: Desk) -> None:
    task = desk.submitted(max_attempts=1)
    head = run(desk.fleet.log.read(task))[-1]
    run(desk.fleet.log.append(follow(head, Kind.STARTED, {"lease_until_ms": 0, "solo": True})))
    desk.triage(dead_of(desk.newest(task)))
    state = run(desk.fleet.state(task))
    assert (state.status, state.error.code) == (Status.DEAD_LETTERED, "worker_lost")


def test_a_task_of_a_lane_that_is_gone_is_dead_and_can_be_seen(desk: Desk) -> None:
    desk.lanes = ("critical",)
    task = desk.submitted()
    desk.triage(dead_of(desk.newest(task)))
    state = run(desk.fleet.state(task))
    assert (state.status, state.error.code) == (Status.DEAD_LETTERED, "undeliverable")


def test_so_is_one_whose_lane_went_after_it_was_answered(desk: Desk) -> None:
    task = desk.submitted()
    message = dead_of(desk.newest(task))
    desk.triage(message)
    desk.lanes = ("critical",)
    desk.triage(message)
    assert run(desk.fleet.state(task)).status is Status.DEAD_LETTERED


@pytest.mark.parametrize("body", ["", "{", "[]", '{"task_id": 5}', "\x00", "x" * 100])
def test_what_cannot_be_read_is_kept_to_be_looked_at(desk: Desk, body: str) -> None:
    result = desk.triage(dead(body))
    assert ids(result.done) == ["m1"]
    [kept] = desk.unreadable()
    assert (kept.message_id, kept.lane, kept.body) == ("m1", "standard", body)
    assert kept.reason.startswith("not a task message")
    assert kept.received_at_ms == desk.fleet.clock.now_ms()


def test_the_reason_a_worker_gave_is_kept(desk: Desk) -> None:
    desk.triage(dead("{", reason="the worker's own words " * 50))
    assert desk.unreadable()[0].reason.startswith("the worker's own words")
    assert len(desk.unreadable()[0].reason) <= 256


def test_a_message_of_a_task_that_has_no_log_is_kept(desk: Desk) -> None:
    message = replace(desk.newest(desk.submitted()), task_id="tsk_none")
    desk.triage(dead_of(message))
    assert desk.unreadable()[0].reason == "the task has no log"


def test_a_message_of_a_task_with_a_corrupt_log_is_kept(desk: Desk) -> None:
    task = desk.submitted()
    events = log_of(Kind.STARTED, Kind.PARKED, task_id=task)
    desk.fleet.log.logs[task] = {event.seq: event for event in events if event.seq != 1}
    desk.triage(dead_of(desk.newest(task)))
    assert task in desk.unreadable()[0].reason
    assert len(desk.fleet.log.logs[task]) == 2, "nothing is added to it"


def test_a_message_that_a_worker_of_an_earlier_release_could_not_read_is_run_after_all(desk: Desk) -> None:
    task = desk.submitted()
    message = replace(dead_of(desk.newest(task)), reason="not a task message: new_member")
    desk.triage(message)
    assert desk.kinds(task) == ["accepted", "parked"]
    assert not desk.unreadable()


@pytest.mark.parametrize("character", ["x", "ä", "\U0001f600", "\x00"])
def test_a_long_body_is_kept_whole_elsewhere(desk: Desk, character: str) -> None:
    for number, length in enumerate((MAX_BODY_CHARACTERS - 1, MAX_BODY_CHARACTERS, 200_000)):
        desk.triage(dead(character * length, message_id=f"m{number}"))
    bodies = {kept.message_id: kept.body for kept in desk.unreadable()}
    assert [len(bodies[f"m{number}"]) for number in range(3)] == [
        MAX_BODY_CHARACTERS - 1,
        MAX_BODY_CHARACTERS,
        MAX_BODY_CHARACTERS,
    ]
    assert unreadable_body_key("standard", "m0") not in desk.fleet.payloads.objects
    assert desk.fleet.payloads.objects[unreadable_body_key("standard", "m2")].decode() == character * 200_000


def test_a_poison_message_holds_up_no_other(desk: Desk) -> None:
    tasks = [desk.submitted() for _ in range(3)]
    messages = [dead_of(desk.newest(task), task) for task in tasks]
    result = desk.triage(messages[0], dead("{", group="p", message_id="p1"), *messages[1:])
    assert sorted(ids(result.done)) == sorted([*tasks, "p1"])
    assert all(desk.kinds(task) == ["accepted", "parked"] for task in tasks)


class FaultyLog(MemoryEventLog):
    """A log in which one task meets a fault of our own, or a store that does not answer."""

    def __init__(self, task: str, error: Exception) -> None:
        super().__init__()
        self._task = task
        self._error = error

    async def read(self, task_id: str) -> list[Event]:
        if task_id == self._task:
            raise self._error
        return await super().read(task_id)


def test_a_fault_of_our_own_keeps_the_message_and_holds_up_no_other(desk: Desk) -> None:
    tasks = [desk.submitted(session=session) for session in ("s", "s", "t")]
    desk.log = FaultyLog(tasks[0], KeyError("of the implementation"))
    desk.log.logs = desk.fleet.log.logs
    result = desk.triage(*(dead_of(desk.newest(task), task) for task in tasks))
    assert sorted(ids(result.done)) == sorted(tasks)
    [kept] = desk.unreadable()
    assert (kept.message_id, kept.reason) == (tasks[0], "triage broke off: KeyError")


def test_a_log_that_does_not_answer_holds_up_its_group_and_no_other(desk: Desk) -> None:
    tasks = [desk.submitted(session=session) for session in ("s", "s", "t")]
    desk.log = FaultyLog(tasks[0], RetryableError("no answer"))
    desk.log.logs = desk.fleet.log.logs
    result = desk.triage(*(dead_of(desk.newest(task), task) for task in tasks))
    assert ids(result.done) == [tasks[2]]
    assert ids(result.again) == tasks[:2], "in order"
    assert [held for held, _ in desk.receipts.visibility] == tasks[:2]
    assert not desk.unreadable()


def test_while_nothing_can_be_kept_nothing_is_given_up(desk: Desk) -> None:
    class Silent(MemoryReadModel):
        async def put_unreadable(self, message: UnreadableMessage) -> None:
            raise RetryableError("no answer")

    desk.views = Silent()
    assert ids(desk.triage(dead("{")).again) == ["m1"]
