"""Many submissions at once: as so many calls, each with its own outcome."""

from __future__ import annotations

import pytest

from flotilla.errors import FlotillaError, IdempotencyKeyReusedError, RetryableError
from flotilla.events import Event
from flotilla.services.submit import Accepted, Submission
from tests.fakes import MemoryEventLog
from tests.unit.services.crashes import Calls, Died, every_failure
from tests.unit.services.fleet import Fleet, run


def submissions(fleet: Fleet, count: int, **options: object) -> list[Submission]:
    return [fleet.submission("sample.echo", {"value": number}, **options) for number in range(count)]


def submit(fleet: Fleet, *wanted: Submission) -> list[Accepted | FlotillaError]:
    return list(run(fleet.submits.submit_batch(wanted)))


def task_ids(answers: list[Accepted | FlotillaError]) -> list[str]:
    return [answer.state.task_id for answer in answers if isinstance(answer, Accepted)]


def test_each_submission_is_one_event_and_one_message(fleet: Fleet) -> None:
    answers = submit(fleet, *submissions(fleet, 10))
    assert [answer.state.input.inline["value"] for answer in answers] == list(range(10))
    assert [message.task_id for message in fleet.lanes.sent.values()] == task_ids(answers)
    assert (fleet.log.appends, fleet.log.reads) == (10, 0)


def test_no_submission_is_no_answer(fleet: Fleet) -> None:
    assert submit(fleet) == []


def test_delayed_ones_go_where_they_wait(fleet: Fleet) -> None:
    now_ms = fleet.clock.now_ms()
    wanted = [
        fleet.submission("sample.echo", {}, due_at_ms=None if delay is None else now_ms + delay * 1000)
        for delay in (None, 20, 7200, None)
    ]
    answers = task_ids(submit(fleet, *wanted))
    assert [message.task_id for message in fleet.lanes.sent.values()] == [answers[0], answers[3]]
    assert [message.task_id for message in fleet.delays.take(15)] == [answers[1]]
    assert next(iter(fleet.schedules.waiting))[0] == answers[2]


def test_a_sessions_messages_are_sent_in_the_order_of_the_batch(fleet: Fleet) -> None:
    answers = submit(fleet, *submissions(fleet, 5, session="s"))
    assert [message.task_id for message in fleet.lanes.sent.values()] == task_ids(answers)


def test_one_bad_item_fails_alone(fleet: Fleet) -> None:
    run(fleet.submit("sample.echo", {"value": "other"}, idempotency_key="used"))
    good, bad = submissions(fleet, 2), fleet.submission("sample.echo", {"value": 3}, idempotency_key="used")
    answers = submit(fleet, good[0], bad, good[1])
    assert isinstance(answers[1], IdempotencyKeyReusedError)
    assert len(task_ids(answers)) == 2
    assert len(fleet.lanes.sent) == 3


def test_a_fault_of_our_own_fails_alone(fleet: Fleet) -> None:
    class FaultyLog(MemoryEventLog):
        async def append(self, event: Event) -> Event | None:
            if event.body["input"]["inline"]["value"] == 1:
                raise RuntimeError("a fault of our own")
            return await super().append(event)

    fleet.log.__class__ = FaultyLog
    answers = submit(fleet, *submissions(fleet, 3))
    assert isinstance(answers[1], FlotillaError) and answers[1].code == "internal-error"
    assert len(task_ids(answers)) == 2


def test_two_items_with_one_key_are_two_calls_one_after_the_other(fleet: Fleet) -> None:
    same = [fleet.submission("sample.echo", {"value": 1}, idempotency_key="k") for _ in range(3)]
    other = fleet.submission("sample.echo", {"value": 2}, idempotency_key="k")
    answers = submit(fleet, same[0], same[1], other, same[2])
    assert [answer.replayed for answer in answers if isinstance(answer, Accepted)] == [False, True, True]
    assert isinstance(answers[2], IdempotencyKeyReusedError)
    assert len(set(task_ids(answers))) == 1 and len(fleet.lanes.sent) == 1


def test_two_like_items_of_one_request_are_one_task_and_one_replay(fleet: Fleet) -> None:
    item = fleet.submission("sample.echo", {"value": 1}, idempotency_key="k")
    answers = submit(fleet, item, item)
    assert [answer.replayed for answer in answers if isinstance(answer, Accepted)] == [False, True]


def test_a_batch_sent_again_makes_nothing_new(fleet: Fleet) -> None:
    first, second = (
        submit(fleet, *(fleet.submission("sample.echo", {"value": n}, idempotency_key=f"k{n}") for n in range(5)))
        for _ in range(2)
    )
    assert task_ids(first) == task_ids(second)
    assert all(answer.replayed for answer in second if isinstance(answer, Accepted))
    assert len(fleet.lanes.sent) == len(fleet.log.logs) == 5


def test_an_item_whose_message_is_not_surely_sent_is_no_promise(fleet: Fleet) -> None:
    wanted = [fleet.submission("sample.echo", {"value": n}, idempotency_key=f"k{n}") for n in range(3)]
    calls = Calls(fatal=3)  # after three events, the messages
    calls.fate = calls.fate.REFUSED
    answers = run(fleet.submitting(calls).submit_batch(wanted))
    assert all(isinstance(answer, RetryableError) for answer in answers)
    assert len(task_ids(submit(fleet, *wanted))) == len(fleet.lanes.sent) == 3


@pytest.mark.parametrize("delay_seconds", [None, 20, 7200])
def test_whatever_call_fails_the_batch_repeated_is_each_task_once_with_its_message(delay_seconds: int | None) -> None:
    from tests.unit.services import sample_agents

    for calls in every_failure(8):
        fleet = Fleet(sample_agents.ALL)
        due_at_ms = None if delay_seconds is None else fleet.clock.now_ms() + delay_seconds * 1000
        wanted = [
            fleet.submission("sample.echo", {"value": "x" * 2000 * n}, idempotency_key=f"k{n}", due_at_ms=due_at_ms)
            for n in range(3)
        ]
        try:
            answers = list(run(fleet.submitting(calls).submit_batch(wanted)))
        except Died:
            answers = []
        promised = task_ids(answers)
        messages = sent(fleet)
        assert set(promised) <= messages, calls
        assert len(task_ids(submit(fleet, *wanted))) == 3
        assert len(sent(fleet)) == len(fleet.log.logs) == 3


def sent(fleet: Fleet) -> set[str]:
    found = {message.task_id for message in fleet.lanes.sent.values()}
    found |= {message.task_id for tier in fleet.delays.tiers.values() for message in tier.values()}
    return found | {task_id for task_id, _ in fleet.schedules.waiting}
