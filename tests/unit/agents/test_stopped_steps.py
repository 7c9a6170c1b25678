"""Steps of an attempt that was paused, or has lost its task: none begins, and none is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flotilla.agents.context import Context, SyncContext
from flotilla.coordination import Pause, PauseScope
from flotilla.errors import AttemptRevokedError, ParkedError
from flotilla.events import Kind, fold
from flotilla.services.successor import successor
from tests.unit.agents.contexts import StepsOfATask

FLEET = Pause(PauseScope.FLEET, "", "why", "key:operator", 0)


@pytest.fixture
def task() -> StepsOfATask:
    return StepsOfATask()


async def paused(task: StepsOfATask) -> None:
    task.clock.advance(2)
    await task.pauses.put(FLEET)


async def cancelled(task: StepsOfATask) -> None:
    task.clock.advance(2)
    state = fold(await task.log.read(task.task_id))
    event = successor(state, Kind.CANCELLED, {}, actor="key:k", at_ms=task.clock.now_ms())
    assert await task.log.append(event) is None


def test_a_step_refused_by_a_pause_is_the_same_step_when_it_is_tried_again(task: StepsOfATask) -> None:
    async def agent(ctx: Context) -> Any:
        await paused(task)
        with pytest.raises(ParkedError) as refused:
            await ctx.step("s", str.upper, "a")
        assert (refused.value.code, 15 <= refused.value.retry_after_seconds <= 45) == ("paused", True)
        await task.pauses.remove(PauseScope.FLEET, "")
        task.clock.advance(2)
        return await ctx.step("s", str.upper, "a")

    assert task.attempt(agent) == "A"
    steps = [event.body["step"] for event in task.log.logs[task.task_id].values() if event.kind is Kind.STEP_RECORDED]
    assert steps == ["s"]


@pytest.mark.parametrize("happens", [paused, cancelled])
def test_what_is_recorded_is_replayed_whatever_has_happened(task: StepsOfATask, happens: Any) -> None:
    async def recording(ctx: Context) -> Any:
        return await ctx.step("s", str.upper, "a")

    async def replaying(ctx: Context) -> Any:
        await happens(task)
        return await ctx.step("s", str.upper, "b")

    assert task.attempt(recording) == "A"
    assert task.attempt(replaying) == "A"


@pytest.mark.parametrize(("happens", "error"), [(paused, ParkedError), (cancelled, AttemptRevokedError)])
def test_a_plain_agent_is_stopped_too(task: StepsOfATask, happens: Any, error: type[Exception]) -> None:
    async def agent(ctx: Context) -> None:
        await happens(task)
        plain = SyncContext(ctx, asyncio.get_running_loop())
        for call in (
            lambda: plain.step("s", str.upper, "a"),
            plain.session.turns,
        ):
            task.clock.advance(2)
            with pytest.raises(error):
                await asyncio.to_thread(call)

    task.attempt(agent)
    assert "step_recorded" not in task.kinds()
    assert task.turns.reads == 0


def test_an_attempt_that_has_lost_its_task_is_told_so_at_every_call(task: StepsOfATask) -> None:
    async def agent(ctx: Context) -> None:
        await cancelled(task)
        for _ in range(3):
            with pytest.raises(AttemptRevokedError):
                await ctx.step("s", str.upper, "a")

    task.attempt(agent)
    assert task.kinds() == ["accepted", "started", "cancelled"]


def test_an_attempt_that_is_over_reads_and_adds_no_turn(task: StepsOfATask) -> None:
    async def agent(ctx: Context) -> None:
        task.supervision.end()
        with pytest.raises(AttemptRevokedError):
            await ctx.session.append("too late")
        with pytest.raises(AttemptRevokedError):
            await ctx.session.turns()

    task.attempt(agent)
    assert task.turns.reads == 0
