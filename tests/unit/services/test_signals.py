"""Signals: each wait ends once, by whoever comes first, and what was answered is never lost."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flotilla.errors import RetryableError
from flotilla.events import Event, Kind, TaskState, fold, verify_chain
from flotilla.models import Status
from flotilla.services.cancel import CancelService
from flotilla.services.dispatch import Dispatch
from flotilla.services.signal import AlreadySignalledError, NotWaitingError
from flotilla.services.watch import IDLE_PATIENCE_SECONDS, look_at_ms
from tests.fakes import MemoryEventLog
from tests.logs import log_of
from tests.unit.services import waiting_agents
from tests.unit.services.crashes import Calls, Died, every_failure
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.open_logs import open_logs
from tests.unit.services.test_any_call_fails import Lane
from tests.unit.services.waiting import begun, delivery_of, give, go_on, on_lane, submitted

ENDS_OF_A_WAIT = (Kind.SIGNALLED, Kind.RESUMED, Kind.CANCELLED, Kind.EXPIRED)


@pytest.fixture
def fleet() -> Fleet:
    return fresh()


def fresh() -> Fleet:
    waiting_agents.HISTORY.clear()
    return Fleet(waiting_agents.ALL)


def held(events: list[Event]) -> MemoryEventLog:
    log = MemoryEventLog()
    log.logs[events[0].task_id] = {event.seq: event for event in events}
    return log


def test_given_again_it_is_the_same_signal(fleet: Fleet) -> None:
    task = begun(fleet)
    first = run(give(fleet, task, payload={"a": 1, "b": [1]}))
    again = run(give(fleet, task, payload={"b": [1], "a": 1}, request_id="r2"))
    assert (first.changed, again.changed, again.state.status) == (True, False, Status.QUEUED)
    go_on(fleet, task)
    late = run(give(fleet, task, payload={"a": 1, "b": [1]}, request_id="r3"))
    assert (late.changed, late.state.status) == (False, Status.SUCCEEDED)
    assert fleet.kinds(task).count("signalled") == 1


def test_given_otherwise_it_is_refused(fleet: Fleet) -> None:
    task = begun(fleet)
    run(give(fleet, task, payload=True))
    for payload in (False, None, 1):
        with pytest.raises(AlreadySignalledError):
            run(give(fleet, task, payload=payload, request_id="r2"))
    assert fleet.kinds(task)[-1] == "signalled"


@pytest.mark.parametrize(
    "kinds",
    [
        (),
        (Kind.STARTED,),
        (Kind.STARTED, Kind.PARKED),
        (Kind.STARTED, Kind.WAITING, Kind.RESUMED),
        (Kind.STARTED, Kind.WAITING, Kind.CANCELLED),
        (Kind.STARTED, Kind.SUCCEEDED),
        (Kind.STARTED, Kind.DEAD_LETTERED),
    ],
)
def test_who_does_not_wait_is_given_none(fleet: Fleet, kinds: tuple[Kind, ...]) -> None:
    log = held(log_of(*kinds, task_id="tsk_1"))
    with pytest.raises(NotWaitingError):
        run(give(fleet, "tsk_1", log=log))
    assert log.appends == 0


def test_who_waits_for_another_is_not_given_this_one(fleet: Fleet) -> None:
    task = begun(fleet, "waiting.twice")
    with pytest.raises(NotWaitingError):
        run(give(fleet, task, "other"))
    run(give(fleet, task, payload=1))
    go_on(fleet, task)
    assert run(give(fleet, task, payload=1, request_id="r2")).changed is False, "a late repeat is not the next one"
    assert run(fleet.state(task)).waiting_for == "decision#2"


def test_who_answers_an_earlier_wait_does_not_answer_a_later_one(fleet: Fleet) -> None:
    task = begun(fleet)
    waiting_seq = run(fleet.state(task)).head_seq
    with pytest.raises(NotWaitingError):
        run(give(fleet, task, waiting_seq=waiting_seq - 1))
    assert run(give(fleet, task, waiting_seq=waiting_seq)).changed


def test_after_the_deadline_it_is_too_late(fleet: Fleet) -> None:
    task = begun(fleet, deadline_ms=fleet.clock.now_ms() + 1000)
    fleet.clock.advance(1)
    with pytest.raises(NotWaitingError):
        run(give(fleet, task))


def test_after_its_time_a_wait_is_still_on_until_somebody_says_that_it_is_over(fleet: Fleet) -> None:
    task = begun(fleet, "waiting.patient", {"seconds": 1})
    fleet.clock.advance(2)
    assert run(give(fleet, task)).changed
    (message,) = fleet.delays.take(1)
    run(fleet.deliver(delivery_of(message)))
    assert run(fleet.state(task)).output.inline == "yes"


def test_a_task_of_another_tenant_or_none_is_none(fleet: Fleet) -> None:
    task = begun(fleet)
    assert run(give(fleet, task, tenant="umbrella")) is None
    assert run(give(fleet, "tsk_" + "0" * 32)) is None
    assert run(give(fleet, task, tenant=None)).changed


def test_a_log_that_is_being_dropped_gets_no_event(fleet: Fleet) -> None:
    log = held(log_of(Kind.STARTED, Kind.WAITING, task_id="tsk_1"))
    del log.logs["tsk_1"][0]
    assert run(give(fleet, "tsk_1", log=log)) is None
    assert log.appends == 0


def test_a_task_whose_lane_is_gone_keeps_its_signal(fleet: Fleet) -> None:
    task = begun(fleet)
    assert run(give(fleet, task, lanes=())).changed
    assert fleet.lanes.sends == 1


def test_a_signalled_task_is_looked_after_soon_however_young_it_is(fleet: Fleet) -> None:
    task = begun(fleet)
    state = run(give(fleet, task)).state
    assert look_at_ms(state) == state.head_at_ms + IDLE_PATIENCE_SECONDS * 1000


def test_whatever_becomes_of_a_call_its_repeat_finds_the_signal_given_and_sends_the_message() -> None:
    def signal(fleet: Fleet, task: str, calls: Calls, request_id: str) -> Any:
        dispatch = Dispatch(
            lanes=calls.through(fleet.lanes),
            delays=calls.through(fleet.delays),
            schedules=calls.through(fleet.schedules),
            ladder=fleet.ladder,
            clock=fleet.clock,
        )
        return run(give(fleet, task, request_id=request_id, log=calls.through(fleet.log), dispatch=dispatch))

    healthy = Calls()
    fleet = fresh()
    signal(fleet, begun(fleet), healthy, "r1")
    assert healthy.made == ["read", "append", "send"]
    for failing in every_failure(len(healthy.made)):
        fleet = fresh()
        task = begun(fleet)
        with contextlib.suppress(Died, RetryableError):
            signal(fleet, task, failing, "r1")
        assert signal(fleet, task, Calls(), "r2").state.status is Status.QUEUED
        assert fleet.kinds(task).count("signalled") == 1
        go_on(fleet, task)
        assert run(fleet.state(task)).output.inline == "yes"


@pytest.mark.parametrize("agent", ["waiting.approval", "waiting.patient"])
@pytest.mark.parametrize("failing_round", [0, 1, 2])
@pytest.mark.parametrize("signalled", [True, False])
def test_whatever_call_of_a_worker_fails_the_wait_ends_once_and_the_task_as_it_should(
    agent: str, failing_round: int, signalled: bool
) -> None:
    def play(calls: Calls) -> tuple[Fleet, str]:
        fleet = fresh()
        task = submitted(fleet, agent, {"seconds": 250}, max_attempts=3)
        lane = Lane(fleet)
        lane.put(fleet.lanes.sent.values())
        failing = fleet.process(calls)
        for number in range(30):
            lane.hand_out(failing if number == failing_round else fleet.process())
            if signalled and run(fleet.state(task)).status is Status.WAITING:
                run(give(fleet, task))
                lane.put([on_lane(fleet, task)])
            if not lane.waiting and not any(fleet.delays.tiers.values()):
                break
            lane.let_time_pass()
        return fleet, task

    healthy = Calls()
    play(healthy)
    for calls in every_failure(len(healthy.made)):
        fleet, task = play(calls)
        where = f"call {calls.fatal} ({calls.made}), {calls.fate}: {fleet.kinds(task)}"
        events = run(fleet.log.read(task))
        verify_chain(events)
        state = run(fleet.state(task))
        kinds = [event.kind for event in events]
        assert kinds.count(Kind.WAITING) == sum(kind in ENDS_OF_A_WAIT for kind in kinds), where
        if signalled:
            assert state.output is not None and state.output.inline == "yes", where
        elif agent == "waiting.patient":
            assert state.output is not None and state.output.inline[0] == "timed out", where
        else:
            assert (state.status, state.error.code) == (Status.DEAD_LETTERED, "wait_timeout"), where
        assert state.attempts_charged <= 1, where
        recorded = [event.body["step"] for event in events if event.kind is Kind.STEP_RECORDED]
        assert len(recorded) == len(set(recorded)), where


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(["yes", "no", "yes again", "cancel", "time", "stale message"]),
        min_size=2,
        max_size=7,
    ),
    st.sampled_from([None, 100]),
    st.randoms(),
)
def test_however_signals_timeouts_cancels_and_deadlines_meet_the_wait_ends_once(
    movers: list[str], deadline_seconds: int | None, random: Any
) -> None:
    fleet = fresh()
    deadline_ms = None if deadline_seconds is None else fleet.clock.now_ms() + deadline_seconds * 1000
    task = begun(fleet, "waiting.patient", {"seconds": 100}, deadline_ms=deadline_ms)
    (message,) = fleet.delays.take(15)
    answered: list[tuple[str, bool]] = []

    async def move(name: str, number: int) -> None:
        for _ in range(random.randrange(15)):
            await asyncio.sleep(0)
        match name:
            case "cancel":
                service = CancelService(logs=open_logs(fleet), schedules=fleet.schedules, clock=fleet.clock)
                await service.cancel("acme", task, actor="key:k3", request_id=f"c{number}")
            case "time":
                await fleet.deliver(delivery_of(message, number + 1))
            case "stale message":
                await fleet.deliver(fleet.delivery(task, receive_count=number + 2))
            case _:
                payload = name.split(maxsplit=1)[0]
                with contextlib.suppress(NotWaitingError, AlreadySignalledError):
                    done = await give(fleet, task, payload=payload, request_id=f"r{number}")
                    assert done is not None
                    answered.append((payload, done.changed))

    async def all_of_them() -> TaskState:
        fleet.clock.advance(100)
        await asyncio.gather(*(move(name, number) for number, name in enumerate(movers)))
        return await fleet.state(task)

    run(all_of_them())
    events = run(fleet.log.read(task))
    verify_chain(events)
    fold(events)
    ends = [event for event in events if event.kind in ENDS_OF_A_WAIT]
    waits = [event for event in events if event.kind is Kind.WAITING]
    after = [events[event.seq + 1].kind for event in waits if event.seq + 1 < len(events)]
    assert len(waits) == 1 and all(kind in ENDS_OF_A_WAIT for kind in after)
    given_ones = [event.body["payload"] for event in ends if event.kind is Kind.SIGNALLED]
    assert len(given_ones) <= 1
    assert {payload for payload, _ in answered} == set(given_ones), "who was answered has been heard, and nobody else"
    assert sum(changed for _, changed in answered) == len(given_ones)
    if given_ones and run(fleet.state(task)).status is Status.QUEUED:
        go_on(fleet, task)
        assert run(fleet.state(task)).output.inline == given_ones[0]


class MovingLog(MemoryEventLog):
    """A log that refuses every append, because somebody is always quicker."""

    async def append(self, event: Any) -> Any:
        self.appends += 1
        return event


def test_a_log_that_never_stands_still_is_left_for_later(fleet: Fleet) -> None:
    log = MovingLog()
    log.logs["tsk_1"] = {event.seq: event for event in log_of(Kind.STARTED, Kind.WAITING, task_id="tsk_1")}
    with pytest.raises(RetryableError):
        run(give(fleet, "tsk_1", log=log))
    assert log.appends < 10
