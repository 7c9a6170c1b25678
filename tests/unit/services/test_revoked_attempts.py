"""An attempt that has lost its task learns of it at its next call to its context, and at no cost before a second."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from flotilla.errors import RetryableError
from flotilla.events import Event, Kind
from flotilla.models import Delivery
from flotilla.services.successor import successor
from tests.fakes import MemoryEventLog
from tests.unit.services import sample_agents
from tests.unit.services.fleet import Fleet, run

ONLY_FIRST = [("work", "first")]


def submitted(fleet: Fleet, agent: str = "sample.two-steps", **options: object) -> str:
    return str(run(fleet.submit(agent, {"value": 1}, **options)).state.task_id)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message_id for delivery in deliveries]


def cancels(fleet: Fleet, task: str, after_seconds: float) -> Callable[[], Awaitable[None]]:
    """Cancels the task between its steps, so long after its last write."""

    async def happen() -> None:
        fleet.clock.advance(after_seconds)
        state = await fleet.state(task)
        if not state.status.terminal:
            now_ms = fleet.clock.now_ms()
            await fleet.log.append(successor(state, Kind.CANCELLED, {}, actor="key:k", at_ms=now_ms))

    return happen


def test_a_cancelled_attempt_does_not_begin_its_next_step(fleet: Fleet) -> None:
    task = submitted(fleet)
    sample_agents.BETWEEN_STEPS.append(cancels(fleet, task, 2))
    assert ids(run(fleet.deliver(fleet.delivery(task))).again) == [task]
    assert sample_agents.HISTORY == ONLY_FIRST
    assert fleet.kinds(task) == ["accepted", "started", "step_recorded", "cancelled"]
    assert ids(run(fleet.deliver(fleet.delivery(task, 2))).done) == [task]


def test_within_a_second_of_its_last_write_an_attempt_asks_nobody(fleet: Fleet) -> None:
    async def soon() -> None:
        fleet.clock.advance(0.9)

    sample_agents.BETWEEN_STEPS.append(soon)
    task = submitted(fleet)
    run(fleet.deliver(fleet.delivery(task)))
    assert (fleet.log.reads, fleet.pauses.reads) == (0, 1)
    assert fleet.kinds(task) == ["accepted", "started", "step_recorded", "step_recorded", "succeeded"]


def test_a_cancel_that_was_not_seen_in_time_still_commits_nothing(fleet: Fleet) -> None:
    task = submitted(fleet)
    sample_agents.BETWEEN_STEPS.append(cancels(fleet, task, 0.5))
    run(fleet.deliver(fleet.delivery(task)))
    assert len(sample_agents.HISTORY) == 2, "the step was begun before anybody asked"
    assert fleet.kinds(task) == ["accepted", "started", "step_recorded", "cancelled"]


def test_a_long_attempt_asks_once_a_step_and_no_more_than_once_a_second(fleet: Fleet) -> None:
    async def much_later() -> None:
        fleet.clock.advance(5)

    sample_agents.BETWEEN_STEPS.append(much_later)
    run(fleet.deliver(fleet.delivery(submitted(fleet))))
    assert (fleet.log.reads, fleet.pauses.reads) == (1, 2)


def test_a_log_that_does_not_say_who_owns_the_task_stops_nobody(fleet: Fleet) -> None:
    class LogWithoutHeads(MemoryEventLog):
        async def head(self, task_id: str) -> Event | None:
            raise RetryableError("down")

    async def later() -> None:
        fleet.clock.advance(2)

    task = submitted(fleet)
    fleet.log.__class__ = LogWithoutHeads
    sample_agents.BETWEEN_STEPS.append(later)
    assert ids(run(fleet.deliver(fleet.delivery(task))).done) == [task]


def test_an_attempt_whose_session_goes_on_without_it_neither_reads_nor_adds(fleet: Fleet) -> None:
    """It hangs before it asks for its session's turns; meanwhile the task is cancelled."""
    task = submitted(fleet, "sample.late-turns", session="s")
    sample_agents.BETWEEN_STEPS.append(cancels(fleet, task, 2))
    run(fleet.deliver(fleet.delivery(task)))
    assert sample_agents.HISTORY == ["attempt_revoked"]
    assert (fleet.turns.reads, fleet.turns.puts) == (0, 0)


@pytest.mark.parametrize("agent", ["sample.two-steps", "sample.echo"])
def test_a_task_cancelled_before_its_start_never_starts(fleet: Fleet, agent: str) -> None:
    task = submitted(fleet, agent)
    run(cancels(fleet, task, 0)())
    assert ids(run(fleet.deliver(fleet.delivery(task))).done) == [task]
    assert fleet.kinds(task) == ["accepted", "cancelled"]
    assert sample_agents.HISTORY == []


def test_a_cancel_and_the_firing_of_a_delayed_task_are_never_both(fleet: Fleet) -> None:
    for cancel_first in (True, False):
        task = submitted(fleet, "sample.echo", due_at_ms=fleet.clock.now_ms() + 10_000, session="s")
        fleet.clock.advance(10)
        steps = [cancels(fleet, task, 0)(), fleet.deliver(fleet.delivery(task))]
        for step in steps if cancel_first else reversed(steps):
            run(step)
        kinds = fleet.kinds(task)
        assert kinds in (["accepted", "cancelled"], ["accepted", "started", "succeeded"])
        assert (Kind.CANCELLED in kinds) == cancel_first
