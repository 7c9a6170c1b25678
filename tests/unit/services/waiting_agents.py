"""Agents that wait for signals; what they did is kept in `HISTORY`."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from pydantic import BaseModel

from flotilla.agents import Context, SyncContext, agent
from flotilla.errors import PermanentError, RetryableError, WaitTimeoutError

HISTORY: list[Any] = []
LINGER = threading.Event()


class Input(BaseModel):
    value: Any = None
    seconds: float | None = None


@agent("waiting.approval", timeout_seconds=10, max_attempts=1)
async def approval(task: Input, ctx: Context) -> Any:
    """A step, a decision, a step."""
    proposal = await ctx.step("propose", note, "propose")
    decision = await ctx.wait_for("decision", timeout_seconds=task.seconds, detail={"proposal": proposal})
    await ctx.step("act", note, "act")
    return decision


def note(what: str) -> str:
    HISTORY.append(what)
    return what.upper()


@agent("waiting.plain", timeout_seconds=10, max_attempts=1)
def plain(task: Input, ctx: SyncContext) -> Any:
    ctx.step("propose", note, "propose")
    return ctx.wait_for("decision", timeout_seconds=task.seconds)


@agent("waiting.patient", timeout_seconds=10, max_attempts=1)
async def patient(task: Input, ctx: Context) -> Any:
    """Goes on without what does not come in time."""
    try:
        return await ctx.wait_for("decision", timeout_seconds=task.seconds)
    except WaitTimeoutError as error:
        return ["timed out", error.code, await ctx.step("instead", note, "instead")]


@agent("waiting.twice", timeout_seconds=10, max_attempts=1)
async def twice(task: Input, ctx: Context) -> Any:
    return [await ctx.wait_for("decision"), await ctx.wait_for("decision"), await ctx.wait_for("other")]


@agent("waiting.flaky", timeout_seconds=10, max_attempts=2, backoff_base_seconds=1)
async def flaky(task: Input, ctx: Context) -> Any:
    """Fails once after the decision."""
    decision = await ctx.wait_for("decision")
    HISTORY.append(("attempt", ctx.attempt))
    if ctx.attempt == 2:
        raise RetryableError("once")
    return decision


@agent("waiting.careless", timeout_seconds=10, max_attempts=1)
async def careless(task: Input, ctx: Context) -> Any:
    """Makes something of its own of the error by which it is told to wait."""
    try:
        return await ctx.wait_for("decision")
    except Exception as error:
        match task.value:
            case "returns":
                return "done"
            case "fails":
                raise PermanentError("cannot wait") from error
            case "works":
                await ctx.step("after", note, "after")
            case "waits again":
                return await ctx.wait_for("other")
            case "hangs":
                await asyncio.Event().wait()
        raise


@agent("waiting.overrunning", timeout_seconds=0.1, max_attempts=2, backoff_base_seconds=1)
def overrunning(task: Input, ctx: SyncContext) -> Any:
    """Stays on its thread after it was told to wait, in its first attempt."""
    try:
        return ctx.wait_for("decision")
    except Exception:
        if ctx.attempt == 1:
            LINGER.wait(10)
        raise


@agent("waiting.together", timeout_seconds=10, max_attempts=1)
async def together(task: Input, ctx: Context) -> Any:
    return list(await asyncio.gather(ctx.wait_for("left"), ctx.wait_for("right")))


@agent("waiting.in-step", timeout_seconds=10, max_attempts=1)
async def in_step(task: Input, ctx: Context) -> Any:
    async def ask() -> Any:
        return await ctx.wait_for("decision")

    return await ctx.step("ask", ask)


@agent("waiting.in-plain-step", timeout_seconds=10, max_attempts=1)
def in_plain_step(task: Input, ctx: SyncContext) -> Any:
    return ctx.step("ask", lambda: ctx.wait_for("decision"))


@agent("waiting.wrongly", timeout_seconds=10, max_attempts=1)
async def wrongly(task: Input, ctx: Context) -> Any:
    return await ctx.wait_for(**task.value)


@agent("waiting.cached", timeout_seconds=10, max_attempts=1, cache_ttl_seconds=60)
async def cached(task: Input, ctx: Context) -> Any:
    return await ctx.wait_for("decision")


@agent("waiting.for-ever", timeout_seconds=10, max_attempts=1)
async def for_ever(task: Input, ctx: Context) -> Any:
    while True:
        await ctx.wait_for("again")


@agent("waiting.dying", timeout_seconds=10, max_attempts=1)
async def dying(task: Input, ctx: Context) -> Any:
    """Dies of what follows the decision, the first time."""
    decision = await ctx.wait_for("decision")
    if ctx.attempt == 2:
        raise PermanentError("told to", code="told_to_die")
    return decision


@agent("waiting.session", timeout_seconds=10, max_attempts=1)
async def session(task: Input, ctx: Context) -> Any:
    before = await ctx.session.turns()
    await ctx.session.append(task.value)
    if task.seconds is not None:
        await ctx.wait_for("decision", timeout_seconds=task.seconds)
    return before


ALL = [
    approval,
    plain,
    patient,
    twice,
    flaky,
    careless,
    overrunning,
    together,
    in_step,
    in_plain_step,
    wrongly,
    cached,
    for_ever,
    dying,
    session,
]
