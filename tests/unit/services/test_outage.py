"""A dependency that is down for a while: no task dies of it, few calls are wasted on it, and nothing is done twice."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from benchmarks.fault_lab.script import Phase, Reply, Script
from flotilla.integrations.desk import IntegrationDesk
from flotilla.models import Status
from flotilla.services.concurrency_caps import ConcurrencyCaps
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
        circuits=MemoryCircuits(),
        limiter=Limiter(MemoryBuckets(), fleet.clock, random.Random(1)),
        caps=ConcurrencyCaps(MemorySlots(), fleet.clock, random.Random(2)),
        clock=fleet.clock,
        random=random.Random(3),
        environment="one",
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


async def _due(fleet: Fleet, task: str) -> bool:
    state = await fleet.state(task)
    return not state.status.terminal and (state.next_attempt_ms or 0) <= fleet.clock.now_ms()
