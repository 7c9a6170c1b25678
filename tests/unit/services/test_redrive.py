"""Redriving one dead letter: once for each death, with a message, and never what did not die."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flotilla.agents.catalog import Catalog
from flotilla.errors import CorruptLogError, RetryableError
from flotilla.events import Kind, fold, verify_chain
from flotilla.models import Delivery, Status
from flotilla.services.cancel import CancelService
from flotilla.services.redrive import Correction, NotRedrivableError, Redriven, RedriveService
from tests.fakes import MemoryEventLog
from tests.logs import LogBuilder, log_of
from tests.unit.services import sample_agents
from tests.unit.services.crashes import Calls, Died, every_failure
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.open_logs import open_logs


def redriver(fleet: Fleet, **ports: Any) -> RedriveService:
    standard: dict[str, Any] = {
        "logs": open_logs(fleet, log=ports.pop("log", None)),
        "dispatch": fleet.dispatch,
        "claim_check": fleet.claim_check,
        "catalog": fleet.catalog,
        "lanes": ("standard",),
        "clock": fleet.clock,
    }
    return RedriveService(**(standard | ports))


async def redrive(fleet: Fleet, task_id: str, request_id: str = "r1", **options: Any) -> Redriven:
    ports = {name: options.pop(name) for name in ("log", "dispatch", "catalog", "lanes") if name in options}
    done = await redriver(fleet, **ports).redrive(task_id, actor="key:k2", request_id=request_id, **options)
    assert done is not None
    return done


def dead(fleet: Fleet, value: Any = None, **options: Any) -> str:
    """A task that died of a permanent error."""
    task = str(
        run(fleet.submit("sample.failing", {"value": "permanent", "times": 9} | (value or {}), **options)).state.task_id
    )
    run(fleet.deliver(fleet.delivery(task)))
    assert fleet.kinds(task) == ["accepted", "started", "dead_lettered"]
    return task


def deliver_newest(fleet: Fleet, task: str) -> None:
    message = max((sent for sent in fleet.lanes.sent.values() if sent.task_id == task), key=lambda sent: sent.seq)
    run(fleet.deliver(Delivery(f"{task}/{message.seq}", "receipt", message.group, 1, message.to_body())))


def test_a_dead_letter_is_redriven_with_full_attempts(fleet: Fleet) -> None:
    task = dead(fleet, {"times": 1})
    done = run(redrive(fleet, task))
    assert (done.changed, done.state.status, done.state.attempts_charged, done.state.error) == (
        True,
        Status.QUEUED,
        0,
        None,
    )
    assert done.died_of is not None and done.died_of.code == "never"
    deliver_newest(fleet, task)
    assert fleet.kinds(task)[2:] == ["dead_lettered", "redriven", "started", "succeeded"]
    events = run(fleet.log.read(task))
    verify_chain(events)
    assert events[3].actor == "key:k2"


def test_it_is_one_read_one_write_and_one_message(fleet: Fleet) -> None:
    task = dead(fleet)
    reads, appends, sends = fleet.log.reads, fleet.log.appends, fleet.lanes.sends
    run(redrive(fleet, task))
    assert (fleet.log.reads - reads, fleet.log.appends - appends, fleet.lanes.sends - sends) == (1, 1, 1)


@pytest.mark.parametrize("value", [{"value": "echoed"}, {"value": "x" * 5000}, {"value": None}])
def test_a_corrected_input_is_what_it_then_runs_on(fleet: Fleet, value: Any) -> None:
    task = dead(fleet)
    done = run(redrive(fleet, task, correction=Correction({**value, "times": 9})))
    assert run(fleet.claim_check.check_out(done.state.input)) == {**value, "times": 9}
    deliver_newest(fleet, task)
    run(fleet.state(task))
    assert fleet.kinds(task)[-2:] == ["started", "attempt_failed"]


def test_without_a_correction_recorded_steps_are_kept_and_with_one_not(fleet: Fleet) -> None:
    for correction, steps in ((None, {"first"}), (Correction({"value": 2}), set())):
        builder = LogBuilder("tsk_1")
        builder.add(Kind.ACCEPTED)
        builder.add(Kind.STARTED, attempt=1)
        builder.add(Kind.STEP_RECORDED, attempt=1)
        builder.add(Kind.DEAD_LETTERED, attempt=1)
        fleet.log.logs["tsk_1"] = {event.seq: event for event in builder.events}
        assert set(run(redrive(fleet, "tsk_1", correction=correction)).state.steps) == steps


@pytest.mark.parametrize(
    "kinds",
    [
        (),
        (Kind.STARTED,),
        (Kind.STARTED, Kind.ATTEMPT_FAILED),
        (Kind.STARTED, Kind.PARKED),
        (Kind.STARTED, Kind.SUCCEEDED),
        (Kind.CANCELLED,),
        (Kind.EXPIRED,),
        (Kind.STARTED, Kind.DEAD_LETTERED, Kind.REDRIVEN, Kind.STARTED),
        (Kind.STARTED, Kind.DEAD_LETTERED, Kind.REDRIVEN, Kind.STARTED, Kind.SUCCEEDED),
    ],
)
def test_what_is_no_dead_letter_is_left_as_it_is(fleet: Fleet, kinds: tuple[Kind, ...]) -> None:
    events = log_of(*kinds, task_id="tsk_1")
    fleet.log.logs["tsk_1"] = {event.seq: event for event in events}
    done = run(redrive(fleet, "tsk_1", correction=Correction({"value": 5})))
    assert (done.changed, done.state) == (False, fold(events))
    assert (fleet.log.appends, fleet.lanes.sends) == (0, 0)


def test_a_task_of_another_tenant_or_none_is_none(fleet: Fleet) -> None:
    task = dead(fleet, tenant="umbrella")
    service = redriver(fleet)
    assert run(service.redrive(task, tenant="acme", actor="key:k", request_id="r")) is None
    assert run(service.redrive("tsk_" + "0" * 32, actor="key:k", request_id="r")) is None
    assert run(service.find(task, tenant="acme")) is None
    assert run(service.find(task)).state.tenant == "umbrella"
    assert fleet.kinds(task)[-1] == "dead_lettered"


def test_a_log_that_is_being_dropped_gets_no_event(fleet: Fleet) -> None:
    task = dead(fleet)
    del fleet.log.logs[task][0]
    assert run(redriver(fleet).redrive(task, actor="key:k", request_id="r")) is None
    assert len(fleet.log.logs[task]) == 2


def test_a_corrupt_log_is_not_added_to(fleet: Fleet) -> None:
    task = dead(fleet)
    del fleet.log.logs[task][1]
    with pytest.raises(CorruptLogError):
        run(redrive(fleet, task))
    assert len(fleet.log.logs[task]) == 2


@pytest.mark.parametrize("missing", ["agent", "lane", "time"])
def test_what_would_not_be_run_stays_a_dead_letter(fleet: Fleet, missing: str) -> None:
    task = dead(fleet, deadline_ms=fleet.clock.now_ms() + 60_000)
    options: dict[str, Any] = {}
    match missing:
        case "agent":
            options["catalog"] = Catalog({})
        case "lane":
            options["lanes"] = ("critical",)
        case "time":
            fleet.clock.advance(60)
    with pytest.raises(NotRedrivableError):
        run(redrive(fleet, task, **options))
    assert fleet.kinds(task)[-1] == "dead_lettered"


def test_a_redriven_task_of_a_lane_that_is_gone_is_answered_as_it_is(fleet: Fleet) -> None:
    task = dead(fleet)
    run(redrive(fleet, task))
    sends = fleet.lanes.sends
    assert run(redrive(fleet, task, lanes=("critical",))).changed is False
    assert fleet.lanes.sends == sends


def test_a_death_other_than_the_one_that_was_meant_is_left_alone(fleet: Fleet) -> None:
    task = dead(fleet)
    died_at = run(fleet.state(task)).head_seq
    run(redrive(fleet, task))
    deliver_newest(fleet, task)
    assert fleet.kinds(task)[-1] == "dead_lettered"
    assert run(redrive(fleet, task, died_at_seq=died_at)).changed is False
    assert run(redrive(fleet, task, died_at_seq=run(fleet.state(task)).head_seq)).changed is True


def test_of_operators_who_redrive_at_once_one_did(fleet: Fleet) -> None:
    task = dead(fleet, {"times": 1})

    async def all_of_them() -> list[Redriven]:
        return await asyncio.gather(*(redrive(fleet, task, f"r{number}") for number in range(6)))

    assert sorted(done.changed for done in run(all_of_them())) == [False] * 5 + [True]
    assert fleet.kinds(task).count("redriven") == 1
    assert len([sent for sent in fleet.lanes.sent.values() if sent.task_id == task]) == 2
    deliver_newest(fleet, task)
    assert fleet.kinds(task)[-1] == "succeeded"


def test_whatever_becomes_of_a_call_its_repeat_has_the_task_run_once() -> None:
    def one(calls: Calls) -> tuple[Fleet, str, Any]:
        fleet = Fleet(sample_agents.ALL)
        task = dead(fleet, {"times": 1})
        send = fleet.dispatch
        counted = calls.through(_Sender(send))

        async def dispatch(message: Any) -> None:
            await counted.send(message)

        return fleet, task, redrive(fleet, task, log=calls.through(fleet.log), dispatch=dispatch)

    calls = Calls()
    run(one(calls)[2])
    assert calls.made == ["read", "append", "send"]
    for failing in every_failure(len(calls.made)):
        fleet, task, call = one(failing)
        with pytest.raises((Died, RetryableError)):
            run(call)
        again = run(redrive(fleet, task, "r2"))
        assert again.state.status is Status.QUEUED
        assert fleet.kinds(task)[3:] == ["redriven"]
        deliver_newest(fleet, task)
        assert fleet.kinds(task)[3:] == ["redriven", "started", "succeeded"]
        assert len([sent for sent in fleet.lanes.sent.values() if sent.task_id == task]) == 2


class _Sender:
    """A dispatch as a port with one method."""

    def __init__(self, dispatch: Any) -> None:
        self._dispatch = dispatch

    async def send(self, message: Any) -> None:
        await self._dispatch(message)


def test_a_task_whose_old_message_is_still_about_runs_once(fleet: Fleet) -> None:
    """Its first worker died between the record of its death and the deletion of the message."""
    task = dead(fleet, {"times": 1})
    run(redrive(fleet, task))
    run(fleet.deliver(fleet.delivery(task, receive_count=2)))
    assert fleet.kinds(task)[3:] == ["redriven"], "the redrive has a message of its own"
    deliver_newest(fleet, task)
    assert fleet.kinds(task)[3:] == ["redriven", "started", "succeeded"]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(["redrive", "cancel", "worker", "stale worker"]), min_size=2, max_size=7), st.randoms())
def test_however_redrives_cancels_and_workers_meet_each_death_has_one_redrive(movers: list[str], random: Any) -> None:
    fleet = Fleet(sample_agents.ALL)
    task = dead(fleet, {"times": 1})

    async def move(name: str, number: int) -> None:
        for _ in range(random.randrange(15)):
            await asyncio.sleep(0)
        match name:
            case "redrive":
                await redrive(fleet, task, f"r{number}")
            case "cancel":
                service = CancelService(logs=open_logs(fleet), schedules=fleet.schedules, clock=fleet.clock)
                await service.cancel("acme", task, actor="key:k3", request_id=f"c{number}")
            case "worker":
                messages = [sent for sent in fleet.lanes.sent.values() if sent.task_id == task]
                newest = max(messages, key=lambda sent: sent.seq)
                await fleet.deliver(Delivery(f"m{number}", "receipt", newest.group, 1, newest.to_body()))
            case _:
                await fleet.deliver(fleet.delivery(task, receive_count=number + 2))

    async def all_of_them() -> None:
        await asyncio.gather(*(move(name, number) for number, name in enumerate(movers)))

    run(all_of_them())
    events = run(fleet.log.read(task))
    verify_chain(events)
    fold(events)
    kinds = [event.kind for event in events]
    assert kinds.count(Kind.REDRIVEN) == (1 if "redrive" in movers else 0)
    assert kinds.count(Kind.SUCCEEDED) + kinds.count(Kind.CANCELLED) <= 1
    if Kind.REDRIVEN in kinds:
        redriven = events[3]
        assert any(sent.seq == redriven.seq for sent in fleet.lanes.sent.values() if sent.task_id == task)


class MovingLog(MemoryEventLog):
    """A log that refuses every append, because somebody is always quicker."""

    async def append(self, event: Any) -> Any:
        self.appends += 1
        return event


def test_a_log_that_never_stands_still_is_left_for_later(fleet: Fleet) -> None:
    log = MovingLog()
    log.logs["tsk_1"] = {event.seq: event for event in log_of(Kind.STARTED, Kind.DEAD_LETTERED, task_id="tsk_1")}
    with pytest.raises(RetryableError):
        run(redrive(fleet, "tsk_1", log=log))
    assert log.appends < 10
