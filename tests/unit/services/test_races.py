"""Crashes, lost answers, delays and duplicates at the worst moments: one result, no lost message, order kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest

from flotilla.errors import RetryableError
from flotilla.events import Event, Kind, chain, verify_chain
from flotilla.models import Delivery, Status
from flotilla.services.batch import BatchResult, BatchService
from tests.fakes import MemoryEventLog
from tests.unit.services import racing_agents
from tests.unit.services.fleet import FUNCTION_SECONDS, Fleet, run

T = TypeVar("T")


class HookedLog(MemoryEventLog):
    """A log in which something happens before and after each append."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[Event], Awaitable[None]] = _nothing
        self.after: Callable[[Event], Awaitable[None]] = _nothing

    async def append(self, event: Event) -> Event | None:
        await self.before(event)
        answer = await super().append(event)
        await self.after(event)
        return answer


async def _nothing(event: Event) -> None:
    pass


@dataclass
class HookedFleet(Fleet):
    """A fleet whose log can be interfered with."""

    def __post_init__(self) -> None:
        self.log: HookedLog = HookedLog()
        super().__post_init__()


@pytest.fixture
def fleet() -> HookedFleet:
    racing_agents.HISTORY.clear()
    racing_agents.GATE.clear()
    racing_agents.AT_GATE.clear()
    return HookedFleet(racing_agents.ALL)


def submitted(fleet: Fleet, agent: str, value: object = None, **options: object) -> str:
    return str(run(fleet.submit(agent, {"value": value}, **options)).state.task_id)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message_id for delivery in deliveries]


async def another_worker(fleet: HookedFleet, task: str, kind: Kind, body: dict[str, Any], attempt: int) -> None:
    """Write the next event as somebody else."""
    head = (await fleet.log.read(task))[-1]
    event = chain(
        task_id=task,
        seq=head.seq + 1,
        kind=kind,
        at_ms=fleet.clock.now_ms(),
        actor="worker:another",
        attempt=attempt,
        body=body,
        prev_hash=head.hash,
    )
    assert await MemoryEventLog.append(fleet.log, event) is None


def lease(fleet: Fleet, seconds: float = 5, **body: Any) -> dict[str, Any]:
    return {"lease_until_ms": fleet.clock.now_ms() + int(seconds * 1000), **body}


def test_a_worker_that_may_not_close_a_task_does_not_delete_its_message(fleet: HookedFleet) -> None:
    """Between finding the deadline passed and writing so, another worker starts the task, and then dies."""
    task = submitted(fleet, "race.echo", deadline_ms=fleet.clock.now_ms() + 1000)
    fleet.clock.advance(2)

    async def taken(event: Event) -> None:
        if event.kind is Kind.EXPIRED:
            fleet.log.before = _nothing
            await another_worker(fleet, task, Kind.STARTED, lease(fleet), 1)

    fleet.log.before = taken
    result = run(fleet.deliver(fleet.delivery(task)))
    assert ids(result.again) == [task], "the task has not ended: its message must stay"
    fleet.clock.advance(60)
    run(fleet.deliver(fleet.delivery(task, 2)))
    assert run(fleet.state(task)).status is Status.EXPIRED


def test_a_worker_that_may_not_bury_a_lost_task_does_not_delete_its_message(fleet: HookedFleet) -> None:
    task = submitted(fleet, "race.echo", max_attempts=1)
    run(another_worker(fleet, task, Kind.STARTED, lease(fleet, solo=True), 1))
    fleet.clock.advance(60)

    async def comes_to_life(event: Event) -> None:
        if event.kind is Kind.DEAD_LETTERED:
            fleet.log.before = _nothing
            await another_worker(
                fleet, task, Kind.STEP_RECORDED, {"step": "s", "result": {"inline": 1}, "duration_ms": 1}, 1
            )

    fleet.log.before = comes_to_life
    result = run(fleet.deliver(fleet.delivery(task, 2)))
    assert run(fleet.state(task)).status.terminal or ids(result.again) == [task]


def test_an_attempt_that_could_not_begin_in_time_is_not_charged(fleet: HookedFleet) -> None:
    """The log is down until nearly the end of the lease: no time is left for the agent, which is not its fault."""
    task = submitted(fleet, "race.echo", max_attempts=1)
    back_ms = fleet.clock.now_ms() + 11_000

    async def down(event: Event) -> None:
        if fleet.clock.now_ms() < back_ms:
            raise RetryableError("down")

    fleet.log.before = down
    run(fleet.deliver(fleet.delivery(task)))
    state = run(fleet.state(task))
    assert state.status is not Status.DEAD_LETTERED, "an outage sends nothing to the dead letters"
    fleet.clock.advance(60)
    run(fleet.deliver(fleet.delivery(task, 2)))
    assert run(fleet.state(task)).status is Status.SUCCEEDED


def test_an_attempt_whose_start_was_confirmed_too_late_is_not_charged(fleet: HookedFleet) -> None:
    """One call that hangs for longer than the agent may run, and then succeeds."""
    task = submitted(fleet, "race.echo", max_attempts=1)

    async def hangs(event: Event) -> None:
        if event.kind is Kind.STARTED:
            fleet.log.after = _nothing
            fleet.clock.advance(11)

    fleet.log.after = hangs
    run(fleet.deliver(fleet.delivery(task)))
    for receive in (2, 3):
        fleet.clock.advance(60)
        run(fleet.deliver(fleet.delivery(task, receive)))
    assert run(fleet.state(task)).status is Status.SUCCEEDED


def test_a_store_that_hangs_while_an_attempt_is_recorded_does_not_end_the_process(fleet: HookedFleet) -> None:
    """The agent has stopped: nothing of it can outlive its lease, and the append is fenced by its condition."""
    task = submitted(fleet, "race.echo")
    armed: list[list[str]] = []

    async def look(event: Event) -> None:
        if event.kind is Kind.SUCCEEDED:
            armed.append(list(fleet.watchdog.armed))

    fleet.log.before = look
    run(fleet.deliver(fleet.delivery(task)))
    assert armed == [[]], "a hang of some seconds here would kill every neighbour of the batch"


@pytest.mark.parametrize("kind", [Kind.SUCCEEDED, Kind.STEP_RECORDED, Kind.STARTED])
def test_an_event_whose_answer_is_lost_until_the_lease_ends_is_written_once(fleet: HookedFleet, kind: Kind) -> None:
    task = submitted(fleet, "race.step")
    lost: list[str] = []

    async def no_answer(event: Event) -> None:
        if event.kind is kind:
            lost.append(event.hash)
            raise RetryableError("no answer")

    fleet.log.after = no_answer
    assert ids(run(fleet.deliver(fleet.delivery(task))).again) == [task]
    assert len(lost) > 1 and len(set(lost)) == 1, "it is the very same event that is sent again"
    fleet.log.after = _nothing
    fleet.clock.advance(60)
    assert ids(run(fleet.deliver(fleet.delivery(task, 2))).done) == [task]
    assert fleet.kinds(task).count("succeeded") == 1
    assert racing_agents.HISTORY.count("step") == 1
    verify_chain(run(fleet.log.read(task)))


def test_after_a_step_of_unknown_fate_the_attempt_records_nothing_more(fleet: HookedFleet) -> None:
    task = submitted(fleet, "race.stubborn")

    async def down(event: Event) -> None:
        if event.kind is Kind.STEP_RECORDED and event.body["step"] == "first":
            raise RetryableError("down")

    fleet.log.before = down
    assert ids(run(fleet.deliver(fleet.delivery(task))).again) == [task]
    assert fleet.kinds(task) == ["accepted", "started"]


def test_a_timeout_while_a_step_is_being_recorded_keeps_the_step(fleet: HookedFleet) -> None:
    """The append is under way when the agent is cancelled; what ends the attempt goes after it."""
    task = submitted(fleet, "race.short")
    let_through = asyncio.Event()

    async def scenario() -> None:
        async def slow(event: Event) -> None:
            if event.kind is Kind.STEP_RECORDED:
                await let_through.wait()

        fleet.log.before = slow
        batch = asyncio.ensure_future(fleet.deliver(fleet.delivery(task)))
        while "cancelled" not in racing_agents.HISTORY:
            await asyncio.sleep(0)
        let_through.set()
        await batch

    run(scenario())
    assert fleet.kinds(task) == ["accepted", "started", "step_recorded", "attempt_failed"]
    fleet.log.before = _nothing
    fleet.clock.advance(60)
    run(fleet.deliver(fleet.delivery(task, 2)))
    assert racing_agents.HISTORY.count("step") == 1
    assert run(fleet.state(task)).status is Status.SUCCEEDED


def test_one_message_delivered_twice_in_one_batch_runs_once(fleet: HookedFleet) -> None:
    task = submitted(fleet, "race.echo", 1)
    twice = [fleet.delivery(task), replace(fleet.delivery(task, 2), message_id="again")]
    assert sorted(ids(run(fleet.deliver(*twice)).done)) == sorted([task, "again"])
    assert racing_agents.HISTORY == [1]
    assert fleet.kinds(task) == ["accepted", "started", "succeeded"]


def test_a_suspect_at_the_head_of_its_session_is_not_overtaken(fleet: HookedFleet) -> None:
    head = submitted(fleet, "race.echo", "head", session="s")
    follower = submitted(fleet, "race.echo", "follower", session="s")
    other = submitted(fleet, "race.echo", "other")
    run(another_worker(fleet, head, Kind.STARTED, lease(fleet), 1))
    fleet.clock.advance(60)
    result = run(fleet.deliver(fleet.delivery(head, 2), fleet.delivery(follower), fleet.delivery(other)))
    assert racing_agents.HISTORY == ["other", "head", "follower"]
    assert len(result.done) == 3


def test_a_session_waits_for_a_head_that_another_worker_still_holds(fleet: HookedFleet) -> None:
    head = submitted(fleet, "race.echo", "head", session="s")
    follower = submitted(fleet, "race.echo", "follower", session="s")
    run(another_worker(fleet, head, Kind.STARTED, lease(fleet, 30), 1))
    result = run(fleet.deliver(fleet.delivery(head, 2), fleet.delivery(follower)))
    assert ids(result.again) == [head, follower]
    assert dict(fleet.receipts.visibility) == {head: 31, follower: 31}
    assert racing_agents.HISTORY == []


async def then_let_go(batch: Awaitable[T]) -> T:
    """Let the threads of overrunning agents end once the batch has."""
    try:
        return await batch
    finally:
        racing_agents.GATE.set()


def test_a_plain_agent_that_overran_is_gone_before_its_session_goes_on(fleet: HookedFleet) -> None:
    """Its thread cannot be stopped. Until the process ends it still acts for the task that was given up."""
    head = submitted(fleet, "race.overrunning", "head", session="s", max_attempts=1)
    follower = submitted(fleet, "race.echo", "follower", session="s")
    run(then_let_go(fleet.deliver(fleet.delivery(head), fleet.delivery(follower))))
    assert racing_agents.HISTORY == ["let go"]


def test_a_plain_agent_that_overran_is_gone_before_its_next_attempt(fleet: HookedFleet) -> None:
    task = submitted(fleet, "race.overrunning", max_attempts=2)
    ends_ms = fleet.clock.now_ms() + FUNCTION_SECONDS * 1000
    run(then_let_go(fleet.deliver(fleet.delivery(task))))
    assert run(fleet.state(task)).next_attempt_ms >= ends_ms, "until then its process may live and the thread in it"


@pytest.mark.parametrize("how", ["fails beside it", "parks"])
def test_a_step_that_was_left_running_is_gone_before_the_next_attempt(fleet: HookedFleet, how: str) -> None:
    task = submitted(fleet, "race.leaves-a-step", how)
    invocation = fleet.invocation()

    async def scenario() -> int:
        await BatchService(fleet.tools).run([fleet.delivery(task)], invocation)
        return invocation.overruns.count

    assert run(then_let_go(scenario())) == 1, "the process must not outlive the invocation"
    assert run(fleet.state(task)).next_attempt_ms >= invocation.ends_ms


def test_a_step_that_was_left_running_is_gone_before_its_session_goes_on(fleet: HookedFleet) -> None:
    head = submitted(fleet, "race.leaves-a-step", "gives it up", session="s")
    follower = submitted(fleet, "race.echo", "follower", session="s")
    result = run(then_let_go(fleet.deliver(fleet.delivery(head), fleet.delivery(follower))))
    assert ids(result.done) == [head]
    assert ids(result.again) == [follower]
    assert racing_agents.HISTORY == []


@pytest.mark.parametrize("kind", [Kind.CANCELLED, Kind.EXPIRED])
def test_a_task_ended_by_somebody_else_while_it_ran_commits_nothing(fleet: HookedFleet, kind: Kind) -> None:
    task = submitted(fleet, "race.echo")

    async def end(event: Event) -> None:
        if event.kind is Kind.SUCCEEDED:
            fleet.log.before = _nothing
            await another_worker(fleet, task, kind, {}, 1)

    fleet.log.before = end
    run(fleet.deliver(fleet.delivery(task)))
    assert ids(run(fleet.deliver(fleet.delivery(task, 2))).done) == [task]
    assert fleet.kinds(task) == ["accepted", "started", kind.value]


def test_an_attempt_sees_its_input_in_the_order_of_the_first(fleet: HookedFleet) -> None:
    """The first attempt has it from the message, the next one from the log."""
    task = submitted(fleet, "race.keys", {"b": 1, "a": 2})
    run(fleet.deliver(fleet.delivery(task)))
    fleet.clock.advance(60)
    run(fleet.deliver(fleet.delivery(task, 2)))
    assert run(fleet.state(task)).output.inline == {"value": {"a": "A", "b": "B"}}


def test_a_log_that_nobody_understands_harms_no_neighbour(fleet: HookedFleet) -> None:
    """Read before the batch begins, to find out who runs alone."""
    strange = submitted(fleet, "race.echo", "strange")
    good = submitted(fleet, "race.echo", "good")
    accepted = fleet.log.logs[strange][0]
    fleet.log.logs[strange][0] = replace(accepted, body={"later": "version"})
    result = run(fleet.deliver(fleet.delivery(strange, 2), fleet.delivery(good, 2)))
    assert good in ids(result.done)
    assert racing_agents.HISTORY == ["good"]


def test_a_fault_of_our_own_in_one_log_harms_no_neighbour(fleet: HookedFleet) -> None:
    class FaultyLog(HookedLog):
        async def read(self, task_id: str) -> list[Event]:
            if task_id == strange:
                raise RuntimeError("a fault of our own")
            return await super().read(task_id)

    strange = submitted(fleet, "race.echo", "strange")
    good = submitted(fleet, "race.echo", "good")
    fleet.log.__class__ = FaultyLog
    result = run(fleet.deliver(fleet.delivery(strange, 2), fleet.delivery(good, 2)))
    assert (ids(result.done), ids(result.again)) == ([good], [strange])


def test_many_workers_at_once_take_over_one_lost_task_once(fleet: HookedFleet) -> None:
    task = submitted(fleet, "race.echo", "won")
    run(another_worker(fleet, task, Kind.STARTED, lease(fleet), 1))
    fleet.clock.advance(60)

    async def race() -> list[BatchResult]:
        deliveries = [fleet.delivery(task, receive) for receive in range(2, 18)]
        return list(await asyncio.gather(*(fleet.deliver(delivery) for delivery in deliveries)))

    run(race())
    assert racing_agents.HISTORY == ["won"]
    assert fleet.kinds(task) == ["accepted", "started", "started", "succeeded"]


def test_a_step_recorded_late_by_a_dying_worker_is_replayed_by_its_successor(fleet: HookedFleet) -> None:
    """It lands between the successor's read of the log and its start."""
    task = submitted(fleet, "race.step")
    run(another_worker(fleet, task, Kind.STARTED, lease(fleet), 1))
    fleet.clock.advance(60)

    async def late(event: Event) -> None:
        fleet.log.before = _nothing
        body = {"step": "step", "result": {"inline": "done before"}, "duration_ms": 1}
        await another_worker(fleet, task, Kind.STEP_RECORDED, body, 1)

    fleet.log.before = late
    run(fleet.deliver(fleet.delivery(task, 2)))
    assert racing_agents.HISTORY == []
    assert run(fleet.state(task)).output.inline == {"value": "done before"}


def test_a_suspect_runs_sooner_or_later_however_busy_its_lane_is(fleet: HookedFleet) -> None:
    """Its neighbours always take more of the invocation than it can spare."""
    suspect = submitted(fleet, "race.long", "suspect")
    run(another_worker(fleet, suspect, Kind.STARTED, lease(fleet), 1))
    fleet.clock.advance(60)
    receives = 1
    while "suspect" not in racing_agents.HISTORY and receives < 20:
        receives += 1
        busy = submitted(fleet, "race.slow", f"busy {receives}")
        racing_agents.CLOCKS[:] = [fleet.clock]
        run(fleet.deliver(fleet.delivery(suspect, receives), fleet.delivery(busy)))
    assert "suspect" in racing_agents.HISTORY


def test_waiting_behind_its_session_does_not_use_up_a_messages_receives(fleet: HookedFleet) -> None:
    """A full batch of one session in which every task fails as often as it may."""
    from stacks.settings_model import Lane

    tasks = [submitted(fleet, "race.failing", n, session="s") for n in range(10)]
    waiting = list(tasks)
    receives = dict.fromkeys(tasks, 0)
    while waiting:
        for task in waiting:
            receives[task] += 1
        result = run(fleet.deliver(*(fleet.delivery(task, receives[task]) for task in waiting)))
        waiting = ids(result.again)
        fleet.clock.advance(1000)
    allowed = Lane.model_fields["max_receive_count"].default
    assert max(receives.values()) <= allowed, "SQS would have put it among the dead letters untried"


def test_a_plain_agents_lease_ends_with_its_attempt_and_the_watchdog_rests(fleet: HookedFleet) -> None:
    task = submitted(fleet, "race.echo", 1)
    run(BatchService(fleet.tools).run([fleet.delivery(task)], fleet.invocation()))
    assert not fleet.watchdog.armed


def test_an_empty_batch_is_no_work(fleet: HookedFleet) -> None:
    result = run(fleet.deliver())
    assert (result.done, result.again) == ([], [])
