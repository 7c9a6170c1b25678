"""Whatever an agent does, its own task ends with a cause and no other task of the batch notices."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from flotilla.events import TaskState, verify_chain
from flotilla.models import Status, canonical_json
from flotilla.runtime import threads
from tests.unit.services import hostile_agents
from tests.unit.services.fleet import Fleet, run


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    hostile_agents.RUNS.clear()
    hostile_agents.RELEASE.clear()
    yield Fleet(hostile_agents.ALL)
    hostile_agents.RELEASE.set()


def state_after(fleet: Fleet, agent: str, case: str = "", receives: int = 1) -> TaskState:
    """Run a hostile task beside a good one, `receives` times; the good one must not notice."""
    bad = run(fleet.submit(agent, {"case": case})).state.task_id
    good = run(fleet.submit("hostile.neighbour", {"case": ""})).state.task_id
    for receive in range(1, receives + 1):
        result = run(fleet.deliver(fleet.delivery(bad, receive), fleet.delivery(good, receive)))
        assert good in [delivery.message_id for delivery in result.done], "the neighbour was harmed"
        handed = [delivery.message_id for delivery in (*result.done, *result.again)]
        assert sorted(handed) == sorted([bad, good]), "a message was forgotten"
        assert not fleet.watchdog.armed, "the watchdog would end the process in a later invocation"
        fleet.clock.advance(1000)
    assert fleet.kinds(good) == ["accepted", "started", "succeeded"]
    events = run(fleet.log.read(bad))
    verify_chain(events)
    for event in events:
        canonical_json(event.body).encode()  # it can be stored
        assert len(canonical_json(event.body)) < 10_000, "an event has room for a cause, not for a book"
    return run(fleet.state(bad))


@pytest.mark.parametrize("agent", ["hostile.async", "hostile.plain"])
@pytest.mark.parametrize("case", sorted(hostile_agents.DEEDS))
def test_whatever_an_agent_raises_is_recorded_and_harms_no_neighbour(fleet: Fleet, agent: str, case: str) -> None:
    state = state_after(fleet, agent, case)
    parked = case.endswith("park")
    assert state.status in ({Status.PARKED} if parked else {Status.RETRYING, Status.DEAD_LETTERED})
    assert parked or isinstance(state.error.code, str)
    assert all(seconds >= 0 for _, seconds in fleet.receipts.visibility)


@pytest.mark.parametrize(
    "case", ["cancelled", "base-exception", "lone-surrogate", "text-as-retry-after", "unprintable"]
)
def test_what_is_raised_every_time_ends_in_the_dead_letters(fleet: Fleet, case: str) -> None:
    state = state_after(fleet, "hostile.async", case, receives=2)
    assert state.status is Status.DEAD_LETTERED
    assert hostile_agents.RUNS.count(case) == 2


@pytest.mark.parametrize("case", ["surrogate", "object", "deep", "bytes", "huge-number"])
def test_a_result_that_cannot_be_kept_is_refused_for_good(fleet: Fleet, case: str) -> None:
    state = state_after(fleet, "hostile.result", case)
    assert state.status is Status.DEAD_LETTERED, "no later attempt could do better"
    assert state.error.code == "invalid_output"


def test_a_result_that_is_no_number_harms_no_neighbour(fleet: Fleet) -> None:
    state_after(fleet, "hostile.result", "nan")


@pytest.mark.parametrize("agent", ["hostile.validator", "hostile.serializer"])
def test_exit_in_an_agents_models_harms_no_neighbour(fleet: Fleet, agent: str) -> None:
    assert state_after(fleet, agent).status in {Status.RETRYING, Status.DEAD_LETTERED}


@pytest.mark.parametrize("agent", ["hostile.exit-in-child", "hostile.exit-in-step"])
def test_exit_in_a_task_that_an_agent_started_harms_no_neighbour(fleet: Fleet, agent: str) -> None:
    """On the worker's own loop: asyncio lets an exit in a child task out of the loop itself."""
    bad = run(fleet.submit(agent, {"case": ""})).state.task_id
    good = run(fleet.submit("hostile.neighbour", {"case": ""})).state.task_id
    result = threads.run(fleet.deliver(fleet.delivery(bad), fleet.delivery(good)))
    assert [delivery.message_id for delivery in result.done] == [good]
    state = run(fleet.state(bad))
    assert (state.status, state.error.code) == (Status.RETRYING, "agent_exit")


def test_a_module_that_exits_when_it_is_imported_harms_no_neighbour(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Exits(ModuleType):
        def __getattr__(self, name: str) -> object:
            sys.exit(6)

    spec = fleet.catalog.get("hostile.async")
    monkeypatch.setitem(sys.modules, spec.module, Exits(spec.module))
    bad = run(fleet.submit("hostile.async", {"case": "cancelled"})).state.task_id
    run(fleet.deliver(fleet.delivery(bad)))
    state = run(fleet.state(bad))
    assert state.status is Status.PARKED, "a broken release uses up no attempt"
    assert not fleet.watchdog.armed


def test_an_agent_that_swallows_its_cancellation_and_answers_has_answered(fleet: Fleet) -> None:
    state = state_after(fleet, "hostile.catches-all")
    assert (state.status, state.output.inline) == (Status.SUCCEEDED, {"value": "too late"})


def test_an_agent_that_cancels_the_task_it_runs_in_harms_no_neighbour(fleet: Fleet) -> None:
    assert state_after(fleet, "hostile.cancels-itself").status is Status.RETRYING


def test_a_step_whose_result_cannot_be_kept_is_not_tried_again(fleet: Fleet) -> None:
    """Its effect has happened and would happen again with every attempt."""
    state = state_after(fleet, "hostile.unserializable-step", receives=3)
    assert state.status is Status.DEAD_LETTERED
    assert hostile_agents.RUNS == ["effect"]


def test_a_steps_thread_that_outlives_its_attempt_is_counted_as_overrunning(fleet: Fleet) -> None:
    """A process that lived on would let it finish, minutes later, beside the next attempt."""
    task = run(fleet.submit("hostile.stuck-step", {"case": ""})).state.task_id
    invocation = fleet.invocation()

    async def scenario() -> int:
        from flotilla.services.batch import BatchService

        await BatchService(fleet.tools).run([fleet.delivery(task)], invocation)
        overrunning = invocation.overruns.count
        hostile_agents.RELEASE.set()
        while invocation.overruns.count:
            await asyncio.sleep(0)
        return overrunning

    assert run(scenario()) == 1
    assert hostile_agents.RUNS == ["stuck"]
    assert run(fleet.state(task)).error.code == "timeout"
