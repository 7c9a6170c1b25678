"""Agents that do as their task's script says, and tell the observer what they do.

A script has a move for each attempt; the last one goes for all further attempts. What an attempt does to the world
outside, and the process's death in the middle of it, are moves like any other.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from typing import Any

from pydantic import BaseModel

from flotilla.agents import Context, SyncContext, agent
from flotilla.agents.decorator import definition_of
from flotilla.errors import ParkedError, PermanentError, RetryableError, WaitTimeoutError
from flotilla.models import canonical_json
from tests.simulation.stage import Stage, stage

TIMEOUT_SECONDS = 10.0
CACHE_TTL_SECONDS = 40
MAX_ATTEMPTS = 4
SIGNAL = "go"
TIMED_OUT = "nobody said anything"


class Script(BaseModel):
    """What a task asks of its agent.

    Attributes:
        name: Tells tasks apart, or makes them identical.
        moves: One for each attempt.
        steps: Durable steps before and after the move.
        seconds: How long the agent takes over it.
        wait: Seconds to wait for a signal after the move, and then to go on without; None waits for none.
    """

    name: str
    moves: tuple[str, ...] = ("ok",)
    steps: int = 0
    seconds: float = 0.0
    wait: float | None = None

    def move(self, attempt: int) -> str:
        return self.moves[min(attempt, len(self.moves)) - 1]


class Result(BaseModel):
    name: str
    attempt: int
    steps: list[Any] = []
    signal: Any = None


def identity(script: Any, tenant: str, agent_name: str) -> str:
    """What identical tasks share."""
    return hashlib.sha256(canonical_json([tenant, agent_name, script]).encode()).hexdigest()


async def _moved(move: str, here: Stage) -> None:
    """Make one move; returns where the attempt goes on."""
    match move:
        case "fail":
            raise RuntimeError("by its script")
        case "retry_after":
            raise RetryableError("busy", code="busy", retry_after_seconds=25)
        case "permanent":
            raise PermanentError("never", code="never")
        case "park":
            raise ParkedError("the circuit is open", code="circuit_open", retry_after_seconds=5)
        case "park_long":
            raise ParkedError("the bucket is empty", code="rate_limited", retry_after_seconds=100)
        case "crash":
            await here.crash()
        case "block":
            await here.block()
        case "hang":
            await asyncio.Event().wait()
        case "exit":
            sys.exit(3)
        case _:
            pass


async def _took(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


async def _signal(task: Script, ctx: Context) -> Any:
    """What the task was told, or that nobody told it anything."""
    if task.wait is None:
        return None
    try:
        return await ctx.wait_for(SIGNAL, timeout_seconds=task.wait)
    except WaitTimeoutError:
        return TIMED_OUT


async def _scripted(task: Script, ctx: Context) -> Result:
    here = stage()
    with here.run(ctx, identity(task.model_dump(), ctx.tenant, ctx.agent)) as run:
        results = []
        signal = None
        move = task.move(here.moves_made(run))
        for number in range(task.steps):
            if number == task.steps // 2:
                await _took(task.seconds)
                await _moved(move, here)
                signal = await _signal(task, ctx)
            name = f"step {number}"
            results.append(await ctx.step(name, here.step, ctx.task_id, ctx.attempt, name, ctx.idempotency_key(name)))
        if not task.steps:
            await _took(task.seconds)
            await _moved(move, here)
            signal = await _signal(task, ctx)
            await here.effect(ctx.task_id, ctx.attempt, "", ctx.idempotency_key())
        if move == "bad_output":
            return "not a result"  # type: ignore[return-value]
        return Result(name=task.name, attempt=ctx.attempt, steps=results, signal=signal)


@agent(
    "sim.work",
    timeout_seconds=TIMEOUT_SECONDS,
    max_attempts=MAX_ATTEMPTS,
    backoff_base_seconds=2,
    backoff_cap_seconds=20,
)
async def work(task: Script, ctx: Context) -> Result:
    return await _scripted(task, ctx)


@agent(
    "sim.cached",
    timeout_seconds=TIMEOUT_SECONDS,
    max_attempts=MAX_ATTEMPTS,
    backoff_base_seconds=2,
    backoff_cap_seconds=20,
    cache_ttl_seconds=CACHE_TTL_SECONDS,
)
async def cached(task: Script, ctx: Context) -> Result:
    return await _scripted(task, ctx)


@agent(
    "sim.remember",
    timeout_seconds=TIMEOUT_SECONDS,
    max_attempts=MAX_ATTEMPTS,
    backoff_base_seconds=2,
    backoff_cap_seconds=20,
)
async def remember(task: Script, ctx: Context) -> Result:
    """Reads its session's memory and adds two turns, and then does as its script says."""
    here = stage()
    if ctx.session_id is None:
        return await _scripted(task, ctx)
    seen = await ctx.session.turns()
    await ctx.session.append([task.name, ctx.attempt, 0])
    result = await _scripted(task, ctx)
    await ctx.session.append([task.name, ctx.attempt, 1])
    here.turns_seen(ctx, seen)
    return result


@agent(
    "sim.plain",
    timeout_seconds=TIMEOUT_SECONDS,
    max_attempts=MAX_ATTEMPTS,
    backoff_base_seconds=2,
    backoff_cap_seconds=20,
)
def plain(task: Script, ctx: SyncContext) -> Result:
    """Runs on a thread, at one instant; how long the thread takes is the stage's choice."""
    here = stage()
    with here.run(ctx, identity(task.model_dump(), ctx.tenant, ctx.agent)) as run:
        match task.move(here.moves_made(run)):
            case "fail":
                raise RuntimeError("by its script")
            case "permanent":
                raise PermanentError("never", code="never")
            case "park":
                raise ParkedError("the circuit is open", code="circuit_open", retry_after_seconds=5)
            case _:
                here.effect_now(ctx.task_id, ctx.attempt, "", ctx.idempotency_key())
                return Result(name=task.name, attempt=ctx.attempt)


ALL = (work, cached, remember, plain)
SPECS = {
    definition.name: definition.spec()
    for definition in (definition_of(function) for function in ALL)
    if definition is not None
}
