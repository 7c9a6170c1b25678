"""Agents for the tests of the services; what they did is kept in `HISTORY`."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel

from flotilla.agents import Context, SyncContext, agent
from flotilla.errors import FlotillaError, ParkedError, PermanentError, RetryableError

HISTORY: list[Any] = []
HELD = threading.Event()
RELEASE = threading.Event()
BETWEEN_STEPS: list[Callable[[], Awaitable[None]]] = []
"""What happens to an attempt of `sample.two-steps` between its steps."""


class Input(BaseModel):
    value: Any = None
    times: int = 0


class Output(BaseModel):
    value: Any


@agent("sample.echo", timeout_seconds=10)
async def echo(task: Input, ctx: Context) -> Output:
    HISTORY.append(("echo", task.value))
    await asyncio.sleep(0)
    HISTORY.append(("echoed", task.value))
    return Output(value=task.value)


@agent("sample.plain", timeout_seconds=10)
def plain(task: Input, ctx: SyncContext) -> Output:
    return Output(value=ctx.step("double", double, task.times))


def double(number: int) -> int:
    HISTORY.append(("double", number))
    return 2 * number


@agent("sample.meeting", timeout_seconds=10)
async def meeting(task: Input, ctx: Context) -> Output:
    """Ends only when `times` tasks are in it at once."""
    HISTORY.append(task.value)
    while len(HISTORY) < task.times:
        await asyncio.sleep(0)
    return Output(value=len(HISTORY))


@agent("sample.failing", timeout_seconds=10, max_attempts=3, backoff_base_seconds=8, backoff_cap_seconds=60)
async def failing(task: Input, ctx: Context) -> Output:
    HISTORY.append(("failing", ctx.attempt))
    if ctx.attempt > task.times:
        return Output(value=ctx.attempt)
    match task.value:
        case "permanent":
            raise PermanentError("never", code="never")
        case "retry-after":
            raise RetryableError("busy", code="busy", retry_after_seconds=120)
        case "parked":
            raise ParkedError("the circuit is open", code="circuit_open", retry_after_seconds=30)
        case "exit":
            sys.exit(3)
        case "wrong-type":
            return "not an Output"  # type: ignore[return-value]
        case "not-json":
            return Output(value=object())
        case _:
            raise ValueError("anything")


@agent("sample.exit-plain", timeout_seconds=10, max_attempts=1)
def exit_plain(task: Input, ctx: SyncContext) -> Output:
    sys.exit(3)


@agent("sample.steps", timeout_seconds=10)
async def steps(task: Input, ctx: Context) -> Output:
    first = await ctx.step("work", work, "a")
    second = await ctx.step("work", work, "b")
    if task.value == "stop" and ctx.attempt == 1:
        raise RetryableError("after two steps")
    third = await ctx.step("large", large)
    return Output(value=[first, second, len(third), ctx.idempotency_key("work")])


def work(name: str) -> str:
    HISTORY.append(("work", name))
    return name.upper()


async def large() -> str:
    HISTORY.append(("large",))
    return "x" * 5000


@agent("sample.late", timeout_seconds=0.05, max_attempts=1)
async def late(task: Input, ctx: Context) -> Output:
    await asyncio.Event().wait()
    return Output(value=None)


@agent("sample.late-plain", timeout_seconds=0.05, max_attempts=1)
def late_plain(task: Input, ctx: SyncContext) -> Output:
    RELEASE.wait(10)
    try:
        ctx.step("after", double, 1)
    except Exception as error:
        HISTORY.append(type(error).__name__)
        raise
    return Output(value=None)


@agent("sample.held", timeout_seconds=10)
async def held(task: Input, ctx: Context) -> Output:
    """In its first attempt says that it is there and waits to be released, holding its loop."""
    if ctx.attempt == 1:
        HELD.set()
        RELEASE.wait(30)
    return Output(value=task.value)


@agent("sample.parking", timeout_seconds=10)
async def parking(task: Input, ctx: Context) -> Output:
    """Waits `value` seconds for its dependency, in its first `times` attempts."""
    if ctx.attempt <= task.times:
        raise ParkedError("the circuit is open", code="circuit_open", retry_after_seconds=task.value)
    HISTORY.append(("parking", ctx.attempt))
    return Output(value=ctx.attempt)


@agent("sample.busy", timeout_seconds=10)
async def busy(task: Input, ctx: Context) -> Output:
    """Its dependency asks for `value` seconds of patience, as a header says it or as a number."""
    raise RetryableError("busy", code="busy", retry_after_seconds=task.value)


@agent("sample.cached", version="7", timeout_seconds=10, max_attempts=1, cache_ttl_seconds=60)
async def cached(task: Input, ctx: Context) -> Output:
    HISTORY.append(("cached", task.value))
    if task.value == "broken":
        raise PermanentError("never", code="never")
    await asyncio.sleep(0)
    return Output(value=[ctx.task_id, task.value])


@agent("sample.remembering", timeout_seconds=10, max_attempts=3, backoff_base_seconds=1)
async def remembering(task: Input, ctx: Context) -> Output:
    """Answers what its session remembers, and adds to it."""
    before = await ctx.session.turns()
    await ctx.session.append({"said": task.value})
    if ctx.attempt <= task.times:
        raise RetryableError("once more")
    return Output(value=before)


@agent("sample.remembering-plain", timeout_seconds=10)
def remembering_plain(task: Input, ctx: SyncContext) -> Output:
    before = ctx.session.turns()
    ctx.session.append({"said": task.value})
    return Output(value=[ctx.session_id, before])


@agent("sample.late-turns", timeout_seconds=10)
async def late_turns(task: Input, ctx: Context) -> Output:
    """Asks for its session's turns after something has happened."""
    for happen in BETWEEN_STEPS:
        await happen()
    try:
        await ctx.session.turns()
    except FlotillaError as error:
        HISTORY.append(error.code)
    await ctx.session.append("after all")
    return Output(value=None)


@agent("sample.two-steps", timeout_seconds=60, max_attempts=3)
async def two_steps(task: Input, ctx: Context) -> Output:
    first = await ctx.step("first", work, "first")
    for happen in BETWEEN_STEPS:
        await happen()
    second = await ctx.step("second", work, "second")
    return Output(value=[first, second])


ALL = [
    echo,
    plain,
    meeting,
    failing,
    exit_plain,
    steps,
    late,
    late_plain,
    held,
    parking,
    busy,
    cached,
    remembering,
    remembering_plain,
    late_turns,
    two_steps,
]
