"""What an operator paused does not start, is told so once, and loses nothing by it."""

from __future__ import annotations

import pytest

from flotilla.coordination import Pause, PauseScope
from flotilla.errors import RetryableError
from flotilla.events import Event, Kind, chain
from flotilla.models import Delivery, Status
from tests.fakes.pauses import MemoryPauses
from tests.unit.services import sample_agents
from tests.unit.services.fleet import Fleet, run

SECOND_MS = 1000


def submitted(fleet: Fleet, agent: str = "sample.echo", **options: object) -> str:
    return str(run(fleet.submit(agent, {"value": 1}, **options)).state.task_id)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message_id for delivery in deliveries]


def head(fleet: Fleet, task: str) -> Event:
    return fleet.log.logs[task][max(fleet.log.logs[task])]


@pytest.mark.parametrize(
    ("scope", "name"), [(PauseScope.FLEET, ""), (PauseScope.LANE, "standard"), (PauseScope.AGENT, "sample.echo")]
)
def test_what_is_paused_is_parked_and_does_not_start(fleet: Fleet, scope: PauseScope, name: str) -> None:
    run(fleet.pause(scope, name))
    task = submitted(fleet)
    assert ids(run(fleet.deliver(fleet.delivery(task))).again) == [task]
    assert fleet.kinds(task) == ["accepted", "parked"]
    assert head(fleet, task).body["reason"] == "paused"
    state = run(fleet.state(task))
    assert (state.status, state.attempt) == (Status.PARKED, 0)
    ((_, seconds),) = fleet.receipts.visibility[1:]
    assert 15 <= seconds <= 45
    assert state.next_attempt_ms == fleet.clock.now_ms() + seconds * SECOND_MS


def test_the_operators_words_are_not_told_to_the_tenant(fleet: Fleet) -> None:
    run(fleet.pauses.put(Pause(PauseScope.LANE, "standard", "because of acme's mess", "key:op", 0)))
    task = submitted(fleet)
    run(fleet.deliver(fleet.delivery(task)))
    assert head(fleet, task).body["detail"] == "lane standard is paused"


@pytest.mark.parametrize(
    ("scope", "name"), [(PauseScope.LANE, "batch"), (PauseScope.AGENT, "sample.plain"), (PauseScope.LANE, "")]
)
def test_what_is_not_paused_runs(fleet: Fleet, scope: PauseScope, name: str) -> None:
    run(fleet.pause(scope, name))
    assert len(run(fleet.deliver(fleet.delivery(submitted(fleet)))).done) == 1


def test_a_pause_is_written_once_however_often_it_is_looked_at(fleet: Fleet) -> None:
    run(fleet.pause())
    task = submitted(fleet)
    for receive in range(1, 9):
        assert ids(run(fleet.deliver(fleet.delivery(task, receive))).again) == [task]
        fleet.clock.advance(46)
    assert fleet.kinds(task) == ["accepted", "parked"]
    assert fleet.log.appends == 2


def test_a_resumed_task_starts_at_its_next_look(fleet: Fleet) -> None:
    run(fleet.pause())
    task = submitted(fleet)
    run(fleet.deliver(fleet.delivery(task)))
    run(fleet.pauses.remove(PauseScope.FLEET, ""))
    fleet.clock.advance(46)
    assert ids(run(fleet.deliver(fleet.delivery(task, 2))).done) == [task]
    assert fleet.kinds(task) == ["accepted", "parked", "started", "succeeded"]
    assert run(fleet.state(task)).attempt == 1


def test_a_pause_after_another_wait_is_written_too(fleet: Fleet) -> None:
    task = str(run(fleet.submit("sample.parking", {"value": 30, "times": 1})).state.task_id)
    run(fleet.deliver(fleet.delivery(task)))
    run(fleet.pause())
    for receive in (2, 3):
        fleet.clock.advance(60)
        run(fleet.deliver(fleet.delivery(task, receive)))
    assert fleet.kinds(task) == ["accepted", "started", "parked", "parked"]
    assert head(fleet, task).body["reason"] == "paused"


def test_a_paused_session_is_held_up_in_order(fleet: Fleet) -> None:
    run(fleet.pause(PauseScope.AGENT, "sample.echo"))
    first = submitted(fleet, session="s")
    second = submitted(fleet, "sample.plain", session="s")
    result = run(fleet.deliver(fleet.delivery(first), fleet.delivery(second)))
    assert ids(result.again) == [first, second]
    assert fleet.kinds(second) == ["accepted"]


def test_the_deadline_of_a_paused_task_passes_all_the_same(fleet: Fleet) -> None:
    run(fleet.pause())
    task = submitted(fleet, deadline_ms=fleet.clock.now_ms() + 5000)
    run(fleet.deliver(fleet.delivery(task)))
    assert fleet.receipts.visibility[-1] == (task, 5)
    fleet.clock.advance(5)
    assert ids(run(fleet.deliver(fleet.delivery(task, 2))).done) == [task]
    assert fleet.kinds(task) == ["accepted", "parked", "expired"]


def test_a_delayed_task_is_not_parked_before_it_is_due(fleet: Fleet) -> None:
    run(fleet.pause())
    task = submitted(fleet, due_at_ms=fleet.clock.now_ms() + 30_000, session="s")
    run(fleet.deliver(fleet.delivery(task)))
    assert fleet.kinds(task) == ["accepted"]
    fleet.clock.advance(30)
    run(fleet.deliver(fleet.delivery(task, 2)))
    assert fleet.kinds(task) == ["accepted", "parked"]


@pytest.mark.parametrize("solo", [True, False])
def test_a_task_whose_worker_died_is_held_without_a_word_and_stays_suspect(fleet: Fleet, solo: bool) -> None:
    """`parked` would hide from who takes it over that it killed its worker, and uncharge the attempt."""
    task = submitted(fleet)
    accepted = fleet.log.logs[task][0]
    body = {"lease_until_ms": fleet.clock.now_ms()} | ({"solo": True} if solo else {})
    started = chain(
        task_id=task,
        seq=1,
        kind=Kind.STARTED,
        at_ms=fleet.clock.now_ms(),
        actor="worker:dead",
        attempt=1,
        body=body,
        prev_hash=accepted.hash,
    )
    run(fleet.log.append(started))
    fleet.clock.advance(10)
    run(fleet.pause())
    assert ids(run(fleet.deliver(fleet.delivery(task, 2))).again) == [task]
    assert fleet.kinds(task) == ["accepted", "started"]
    run(fleet.pauses.remove(PauseScope.FLEET, ""))
    fleet.clock.advance(50)
    run(fleet.deliver(fleet.delivery(task, 3)))
    state = run(fleet.state(task))
    assert (state.status, state.attempts_charged) == (Status.SUCCEEDED, 1 if solo else 0)


def test_ten_tasks_at_once_ask_what_is_paused_once(fleet: Fleet) -> None:
    tasks = [submitted(fleet) for _ in range(10)]
    run(fleet.deliver(*(fleet.delivery(task) for task in tasks)))
    assert fleet.pauses.reads == 1
    run(fleet.deliver(fleet.delivery(submitted(fleet))))
    assert fleet.pauses.reads == 1, "within a second nobody asks again"


def test_a_pause_that_cannot_be_read_holds_up_nobody(fleet: Fleet) -> None:
    class PausesThatAreDown(MemoryPauses):
        async def read(self) -> list[Pause]:
            raise RetryableError("down")

    fleet.pauses.__class__ = PausesThatAreDown
    assert len(run(fleet.deliver(fleet.delivery(submitted(fleet)))).done) == 1


def test_an_attempt_under_way_stops_at_its_next_step_and_is_not_charged(fleet: Fleet) -> None:
    async def paused() -> None:
        fleet.clock.advance(2)
        await fleet.pause()

    sample_agents.BETWEEN_STEPS.append(paused)
    task = submitted(fleet, "sample.two-steps")
    run(fleet.deliver(fleet.delivery(task)))
    assert sample_agents.HISTORY == [("work", "first")]
    assert fleet.kinds(task) == ["accepted", "started", "step_recorded", "parked"]
    assert head(fleet, task).body["reason"] == "paused"
    fleet.clock.advance(100)
    run(fleet.deliver(fleet.delivery(task, 2)))
    assert fleet.kinds(task)[-1] == "parked", "it is still paused, and that has been said"
    sample_agents.BETWEEN_STEPS.clear()
    run(fleet.pauses.remove(PauseScope.FLEET, ""))
    fleet.clock.advance(100)
    for tier in list(fleet.delays.tiers):
        fleet.delays.take(tier)
    run(fleet.deliver(fleet.delivery(task, 3)))
    state = run(fleet.state(task))
    assert (state.status, state.attempts_charged, state.attempt) == (Status.SUCCEEDED, 0, 2)
    assert sample_agents.HISTORY == [("work", "first"), ("work", "second")]


@pytest.mark.parametrize("seconds", [4, 118])
def test_a_task_that_was_long_in_being_let_in_gets_its_whole_time_or_another_invocation(
    fleet: Fleet, seconds: float
) -> None:
    class SlowPauses(MemoryPauses):
        async def read(self) -> list[Pause]:
            fleet.clock.advance(seconds)
            return await super().read()

    fleet.pauses.__class__ = SlowPauses
    task = submitted(fleet, "sample.two-steps")
    result = run(fleet.deliver(fleet.delivery(task)))
    if result.again:
        assert fleet.kinds(task) == ["accepted"]
        assert fleet.receipts.visibility[-1] == (task, 0)
    else:
        started, now_ms = fleet.log.logs[task][1], fleet.clock.now_ms()
        assert started.body["lease_until_ms"] == started.at_ms + 63_000 <= now_ms + 63_000
    assert bool(result.again) == (seconds > 100)
