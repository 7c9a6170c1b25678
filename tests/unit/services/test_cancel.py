"""Cancelling: in every state, against whoever else writes at that moment, and whatever dies on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flotilla.errors import CorruptLogError, RetryableError
from flotilla.events import Event, Kind, TaskState, fold, verify_chain
from flotilla.models import Status
from flotilla.ports import Schedules
from flotilla.services.cancel import TRIES, Cancelled, CancelService
from tests.fakes import ManualClock, MemoryEventLog
from tests.fakes.schedules import MemorySchedules
from tests.logs import LogBuilder, log_of
from tests.unit.services import sample_agents
from tests.unit.services.crashes import Calls, Died, every_failure
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.open_logs import open_logs

DAY_SECONDS = 86_400


def canceller(fleet: Fleet, *, log: Any = None, schedules: Schedules | None = None) -> CancelService:
    return CancelService(logs=open_logs(fleet, log=log), schedules=schedules or fleet.schedules, clock=fleet.clock)


async def cancel(fleet: Fleet, task_id: str, request_id: str = "r1", **options: Any) -> Cancelled | None:
    return await canceller(fleet, **options).cancel("acme", task_id, actor="key:k2", request_id=request_id)


def submitted(fleet: Fleet, agent: str = "sample.echo", value: Any = None, **options: Any) -> str:
    return str(run(fleet.submit(agent, value or {}, **options)).state.task_id)


def held(events: list[Event]) -> MemoryEventLog:
    log = MemoryEventLog()
    log.logs[events[0].task_id] = {event.seq: event for event in events}
    return log


LIVE = {
    "queued": (),
    "running": (Kind.STARTED,),
    "running, with steps": (Kind.STARTED, Kind.STEP_RECORDED, Kind.STEP_RECORDED),
    "retrying": (Kind.STARTED, Kind.ATTEMPT_FAILED),
    "parked": (Kind.STARTED, Kind.PARKED),
    "scheduled": (Kind.SCHEDULED,),
    "waiting": (Kind.STARTED, Kind.WAITING),
    "redriven": (Kind.STARTED, Kind.DEAD_LETTERED, Kind.REDRIVEN),
}


@pytest.mark.parametrize("state", sorted(LIVE))
def test_what_has_not_ended_is_cancelled_at_once(fleet: Fleet, state: str) -> None:
    log = held(log_of(*LIVE[state], task_id="tsk_1"))
    done = run(cancel(fleet, "tsk_1", log=log))
    assert (done.changed, done.state.status) == (True, Status.CANCELLED)
    events = run(log.read("tsk_1"))
    assert (events[-1].kind, events[-1].actor, len(events)) == (Kind.CANCELLED, "key:k2", len(LIVE[state]) + 2)
    assert done.state == fold(events)
    verify_chain(events)
    assert (log.reads, log.appends) == (2, 1), "one of the reads is this test's"


@pytest.mark.parametrize("end", [Kind.SUCCEEDED, Kind.DEAD_LETTERED, Kind.CANCELLED, Kind.EXPIRED])
def test_what_has_ended_stays_as_it_is(fleet: Fleet, end: Kind) -> None:
    events = log_of(Kind.STARTED, end, task_id="tsk_1")
    log = held(events)
    done = run(cancel(fleet, "tsk_1", log=log))
    assert (done.changed, done.state) == (False, fold(events))
    assert log.appends == 0


def test_a_task_of_another_tenant_or_none_is_none(fleet: Fleet) -> None:
    task = submitted(fleet, tenant="umbrella")
    assert run(cancel(fleet, task)) is None
    assert run(cancel(fleet, "tsk_" + "0" * 32)) is None
    assert fleet.kinds(task) == ["accepted"]


def test_a_log_that_is_being_dropped_gets_no_event(fleet: Fleet) -> None:
    log = held(log_of(Kind.STARTED, task_id="tsk_1"))
    del log.logs["tsk_1"][0]
    assert run(cancel(fleet, "tsk_1", log=log)) is None
    assert log.appends == 0


def test_a_corrupt_log_is_not_added_to(fleet: Fleet) -> None:
    log = held(log_of(Kind.STARTED, Kind.STEP_RECORDED, task_id="tsk_1"))
    del log.logs["tsk_1"][1]
    with pytest.raises(CorruptLogError):
        run(cancel(fleet, "tsk_1", log=log))
    assert log.appends == 0


def test_a_cancelled_task_is_not_run(fleet: Fleet) -> None:
    task = submitted(fleet, value={"value": 1})
    run(cancel(fleet, task))
    result = run(fleet.deliver(fleet.delivery(task)))
    assert [delivery.message_id for delivery in result.done] == [task]
    assert fleet.kinds(task) == ["accepted", "cancelled"]
    assert not sample_agents.HISTORY


def test_an_attempt_under_way_commits_nothing(fleet: Fleet) -> None:
    """The cancel comes between the agent's start and its end."""
    task = submitted(fleet, "sample.held", {"value": 1})
    sample_agents.HELD.clear()

    async def race() -> Cancelled | None:
        running = asyncio.ensure_future(asyncio.to_thread(run, fleet.deliver(fleet.delivery(task))))
        await asyncio.to_thread(sample_agents.HELD.wait, 10)
        done = await cancel(fleet, task)
        sample_agents.RELEASE.set()
        await running
        return done

    done = run(race())
    assert done is not None and done.changed
    assert fleet.kinds(task) == ["accepted", "started", "cancelled"]


class BusyLog(MemoryEventLog):
    """A log to which a worker adds a step just before each append of anybody else, so many times."""

    def __init__(self, times: int, last: Kind = Kind.STEP_RECORDED) -> None:
        super().__init__()
        self.builder = LogBuilder("tsk_1")
        self.builder.add(Kind.ACCEPTED)
        self.builder.add(Kind.STARTED, attempt=1)
        self._times = times
        self._last = last
        self._keep()

    def _keep(self) -> None:
        self.logs["tsk_1"] = {event.seq: event for event in self.builder.events}

    async def append(self, event: Event) -> Event | None:
        if self._times:
            self._times -= 1
            self.builder.add(self._last if not self._times else Kind.STEP_RECORDED, attempt=1)
            self._keep()
        return await super().append(event)


def test_a_worker_that_records_steps_meanwhile_does_not_stop_it(fleet: Fleet) -> None:
    log = BusyLog(times=TRIES - 1)
    done = run(cancel(fleet, "tsk_1", log=log))
    assert done.changed
    assert [event.kind for event in run(log.read("tsk_1"))][-2:] == [Kind.STEP_RECORDED, Kind.CANCELLED]


def test_a_worker_that_ends_the_task_first_has_ended_it(fleet: Fleet) -> None:
    log = BusyLog(times=3, last=Kind.SUCCEEDED)
    done = run(cancel(fleet, "tsk_1", log=log))
    assert (done.changed, done.state.status) == (False, Status.SUCCEEDED)


def test_a_log_that_never_stands_still_is_left_for_later(fleet: Fleet) -> None:
    log = BusyLog(times=10**6)
    with pytest.raises(RetryableError) as refused:
        run(cancel(fleet, "tsk_1", log=log))
    assert refused.value.code == "log_contended"
    assert log.appends == TRIES


def test_of_two_who_cancel_at_once_one_did(fleet: Fleet) -> None:
    task = submitted(fleet)

    async def both() -> list[Any]:
        return await asyncio.gather(*(cancel(fleet, task, f"r{number}") for number in range(5)))

    answers = run(both())
    assert sorted(answer.changed for answer in answers) == [False] * 4 + [True]
    assert {answer.state.status for answer in answers} == {Status.CANCELLED}
    assert fleet.kinds(task) == ["accepted", "cancelled"]


def test_two_calls_of_one_key_in_one_millisecond_are_two(fleet: Fleet) -> None:
    """Without the request's id their events would be the same one, and both would have done it."""
    task = submitted(fleet)
    first = run(cancel(fleet, task, "r1"))
    assert first.changed
    assert run(cancel(fleet, task, "r2")).changed is False


def test_whatever_becomes_of_a_call_its_repeat_finds_the_task_cancelled() -> None:
    calls = Calls()
    fleet = Fleet(sample_agents.ALL)
    task = submitted(fleet, due_at_ms=fleet.clock.now_ms() + DAY_SECONDS * 1000)
    run(cancel(fleet, task, log=calls.through(fleet.log), schedules=calls.through(fleet.schedules)))
    assert calls.made == ["read", "append", "remove"]
    for failing in every_failure(len(calls.made)):
        fleet = Fleet(sample_agents.ALL)
        task = submitted(fleet, due_at_ms=fleet.clock.now_ms() + DAY_SECONDS * 1000)
        try:
            run(cancel(fleet, task, log=failing.through(fleet.log), schedules=failing.through(fleet.schedules)))
        except (Died, RetryableError):
            assert fleet.kinds(task) in (["accepted"], ["accepted", "cancelled"])
        assert run(cancel(fleet, task, "r2")).state.status is Status.CANCELLED
        assert fleet.kinds(task) == ["accepted", "cancelled"]


def test_a_task_that_is_due_far_from_now_is_taken_off_the_schedule(fleet: Fleet) -> None:
    task = submitted(fleet, due_at_ms=fleet.clock.now_ms() + DAY_SECONDS * 1000)
    assert len(fleet.schedules.waiting) == 1
    assert run(cancel(fleet, task)).changed
    assert not fleet.schedules.waiting


class CountingSchedules(MemorySchedules):
    removals = 0

    async def remove(self, task_id: str, seq: int) -> None:
        self.removals += 1
        await super().remove(task_id, seq)


@pytest.mark.parametrize(
    ("delay_seconds", "waited_seconds", "session"),
    [(None, 0, None), (600, 0, None), (DAY_SECONDS, DAY_SECONDS - 60, None), (40_000, 0, "s")],
)
def test_the_scheduler_is_not_asked_where_there_is_no_schedule(
    delay_seconds: int | None, waited_seconds: int, session: str | None
) -> None:
    fleet = Fleet(sample_agents.ALL, schedules=CountingSchedules())
    due_ms = None if delay_seconds is None else fleet.clock.now_ms() + delay_seconds * 1000
    task = submitted(fleet, due_at_ms=due_ms, session=session)
    fleet.clock.advance(waited_seconds)
    assert run(cancel(fleet, task)).changed
    assert fleet.schedules.removals == 0


class SilentSchedules(MemorySchedules):
    async def remove(self, task_id: str, seq: int) -> None:
        raise RetryableError("the scheduler did not answer")


def test_a_schedule_that_cannot_be_removed_fires_and_does_nothing(fleet: Fleet) -> None:
    task = submitted(fleet, value={"value": 1}, due_at_ms=fleet.clock.now_ms() + DAY_SECONDS * 1000)
    assert run(cancel(fleet, task, schedules=SilentSchedules())).changed
    fleet.clock.advance(DAY_SECONDS)
    [message] = fleet.schedules.fire(fleet.clock.now_ms())
    run(fleet.lanes.send(message))
    run(fleet.deliver(fleet.delivery(task)))
    assert fleet.kinds(task) == ["accepted", "cancelled"]
    assert not sample_agents.HISTORY


Move = Callable[[Fleet, str], Any]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["worker", "cancel", "other cancel"]), min_size=2, max_size=6), st.randoms())
def test_however_cancels_and_workers_meet_there_is_one_end(movers: list[str], random: Any) -> None:
    fleet = Fleet(sample_agents.ALL, clock=ManualClock())
    task = submitted(fleet, value={"value": 1})

    async def move(name: str, number: int) -> None:
        for _ in range(random.randrange(12)):
            await asyncio.sleep(0)
        if name == "worker":
            await fleet.deliver(fleet.delivery(task, receive_count=number + 1))
        else:
            await cancel(fleet, task, f"r{number}")

    async def all_of_them() -> TaskState:
        await asyncio.gather(*(move(name, number) for number, name in enumerate(movers)))
        return await fleet.state(task)

    state = run(all_of_them())
    ends = [kind for kind in fleet.kinds(task) if kind in ("cancelled", "succeeded")]
    verify_chain(run(fleet.log.read(task)))
    assert len(ends) <= 1
    if "cancel" in movers or "other cancel" in movers:
        assert state.status.terminal
