"""A dependency that is down for a while: no task dies of it, few calls are wasted on it, and nothing is done twice."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from benchmarks.fault_lab.script import Phase, Reply, Script
from flotilla.integrations.desk import IntegrationDesk
from flotilla.models import Status
from flotilla.services.concurrency_caps import ConcurrencyCaps
from flotilla.services.dependency import Dependencies
from flotilla.services.limits import Limiter
from flotilla.services.protection import Protections
from tests.fakes.circuits import MemoryCircuits
from tests.fakes.integrations import MemorySecrets, MemoryTransport
from tests.fakes.limits import MemoryBuckets, MemorySlots
from tests.unit.integrations.declarations import crm
from tests.unit.services.calling_agents import CALLING
from tests.unit.services.fleet import Fleet, run

TASKS, IN_BATCH = 40, 10
OUTAGE_SECONDS, STEP_SECONDS = 300, 5


@pytest.mark.parametrize("fault", [Reply(status=503), Reply(fault="reset")])
def test_no_task_dies_of_an_outage_and_few_calls_are_wasted_on_it(fault: Reply) -> None:
    fleet = Fleet(list(CALLING))
    transport = MemoryTransport(Script((Phase((fault,)),)))
    protections = Protections(
        Dependencies(
            circuits=MemoryCircuits(),
            limiter=Limiter(MemoryBuckets(), fleet.clock, random.Random(1)),
            clock=fleet.clock,
            random=random.Random(3),
            environment="one",
        ),
        ConcurrencyCaps(MemorySlots(), fleet.clock, random.Random(2)),
    )
    desk = IntegrationDesk(
        {"crm": crm()},
        transport=transport,
        secrets=MemorySecrets(),
        protect=protections.of,
        clock=fleet.clock,
        random=random.Random(4),
    )
    process = replace(fleet.process(), integrations=lambda: desk)
    tasks = [str(run(fleet.submit("calling.async", {})).state.task_id) for _ in range(TASKS)]
    began_ms, receives, wasted, recovered_ms = fleet.clock.now_ms(), dict.fromkeys(tasks, 0), 0, 0

    async def receive_all_that_is_due() -> None:
        due = [task for task in tasks if await _due(fleet, task)]
        for first in range(0, len(due), IN_BATCH):
            batch = due[first : first + IN_BATCH]
            for task in batch:
                receives[task] += 1
            await fleet.deliver(*(fleet.delivery(task, receives[task]) for task in batch), process=process)

    for _ in range(2 * OUTAGE_SECONDS // STEP_SECONDS):
        run(receive_all_that_is_due())
        fleet.clock.advance(STEP_SECONDS)
        if not recovered_ms and fleet.clock.now_ms() - began_ms >= OUTAGE_SECONDS * 1000:
            wasted = len(transport.sent)
            transport.follow(Script.steady())
            recovered_ms = fleet.clock.now_ms()
    states = [run(fleet.state(task)) for task in tasks]
    assert {state.status for state in states} == {Status.SUCCEEDED}
    assert 0 < wasted < len(tasks), "most tasks never called while it was down"
    keys = [dict(request.headers)["idempotency-key"] for _, request in transport.sent]
    assert len(set(keys)) == len(tasks)
    assert len(keys) == wasted + len(tasks), "after it each task called once"


def test_a_single_task_outlives_an_outage_in_which_too_few_calls_are_made_to_open_anything() -> None:
    caller = _Lone(Script.steady(Reply(status=500)))
    task = caller.submit(max_attempts=1)
    caller.attempt_whenever_due(task, for_seconds=6 * 3600)
    state = run(caller.fleet.state(task))
    assert (state.status, state.attempts_charged) == (Status.PARKED, 0)
    assert len(caller.transport.sent) < 300, "about three calls in five minutes"
    caller.transport.follow(Script.steady())
    caller.attempt_whenever_due(task, for_seconds=600)
    assert run(caller.fleet.state(task)).status is Status.SUCCEEDED


def test_a_task_that_fails_where_others_succeed_uses_up_its_attempts() -> None:
    caller = _Lone(Script.steady())
    poison = caller.submit(max_attempts=3)
    for _ in range(40):
        caller.transport.follow(Script.steady(Reply(status=500)))
        caller.attempt_whenever_due(poison, for_seconds=30)
        caller.transport.follow(Script.steady())
        for _ in range(10):
            caller.attempt_whenever_due(caller.submit(), for_seconds=3)
    state = run(caller.fleet.state(poison))
    assert state.status is Status.DEAD_LETTERED
    assert [event.body["error"]["code"] for event in run(caller.fleet.log.read(poison)) if "error" in event.body] == [
        "integration_failed"
    ] * 3


class _Lone:
    """One worker, and one integration behind its real circuit."""

    def __init__(self, script: Script) -> None:
        self.fleet = fleet = Fleet(list(CALLING))
        self.transport = MemoryTransport(script)
        protections = Protections(
            Dependencies(
                circuits=MemoryCircuits(),
                limiter=Limiter(MemoryBuckets(), fleet.clock, random.Random(1)),
                clock=fleet.clock,
                random=random.Random(3),
                environment="one",
            ),
            ConcurrencyCaps(MemorySlots(), fleet.clock, random.Random(2)),
        )
        desk = IntegrationDesk(
            {"crm": crm()},
            transport=self.transport,
            secrets=MemorySecrets(),
            protect=protections.of,
            clock=fleet.clock,
            random=random.Random(4),
        )
        self.process = replace(fleet.process(), integrations=lambda: desk)

    def submit(self, **options: int) -> str:
        return str(run(self.fleet.submit("calling.async", {}, **options)).state.task_id)

    def attempt_whenever_due(self, task: str, *, for_seconds: int) -> None:
        clock, receives = self.fleet.clock, 0
        end_ms = clock.now_ms() + for_seconds * 1000
        while clock.now_ms() < end_ms:
            state = run(self.fleet.state(task))
            wait_ms = end_ms - clock.now_ms()
            if not state.status.terminal:
                wait_ms = min(wait_ms, (state.next_attempt_ms or 0) - clock.now_ms())
            if wait_ms > 0:
                clock.advance(wait_ms / 1000)
                continue
            receives += 1
            run(self.fleet.deliver(self.fleet.delivery(task, 1 + receives), process=self.process))


async def _due(fleet: Fleet, task: str) -> bool:
    state = await fleet.state(task)
    return not state.status.terminal and (state.next_attempt_ms or 0) <= fleet.clock.now_ms()
