"""Agents for the tests of races; what they did is kept in `HISTORY`."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

from pydantic import BaseModel

from flotilla.agents import Context, SyncContext, agent
from flotilla.errors import FlotillaError, ParkedError, RetryableError
from tests.fakes import ManualClock

HISTORY: list[Any] = []
AT_GATE = threading.Event()
GATE = threading.Event()
CLOCKS: list[ManualClock] = []


class Value(BaseModel):
    value: Any = None


@agent("race.echo", timeout_seconds=10)
async def echo(task: Value, ctx: Context) -> Value:
    HISTORY.append(task.value)
    await asyncio.sleep(0)
    return Value(value=task.value)


@agent("race.step", timeout_seconds=10)
async def one_step(task: Value, ctx: Context) -> Value:
    return Value(value=await ctx.step("step", step))


def step() -> str:
    HISTORY.append("step")
    return "done"


@agent("race.stubborn", timeout_seconds=10)
async def stubborn(task: Value, ctx: Context) -> Value:
    """Goes on whatever its steps say."""
    for name in ("first", "second"):
        try:
            await ctx.step(name, step)
        except FlotillaError as error:
            HISTORY.append(error.code)
    return Value(value="went on")


@agent("race.short", timeout_seconds=0.05, max_attempts=3)
async def short(task: Value, ctx: Context) -> Value:
    """Is cancelled while its step is being recorded."""
    try:
        return Value(value=await ctx.step("step", step))
    except asyncio.CancelledError:
        HISTORY.append("cancelled")
        raise


@agent("race.overrunning", timeout_seconds=0.05)
def overrunning(task: Value, ctx: SyncContext) -> Value:
    GATE.wait(10)
    HISTORY.append("let go")
    return Value()


@agent("race.long", timeout_seconds=100)
async def long(task: Value, ctx: Context) -> Value:
    HISTORY.append(task.value)
    return Value()


@agent("race.slow", timeout_seconds=110)
async def slow(task: Value, ctx: Context) -> Value:
    """Takes a minute of the fleet's time."""
    CLOCKS[0].advance(60)
    return Value()


@agent("race.failing", timeout_seconds=10)
async def failing(task: Value, ctx: Context) -> Value:
    raise RetryableError("every time")


@agent("race.keys", timeout_seconds=10)
async def keys(task: Value, ctx: Context) -> Value:
    """Takes a step for each member of its input; fails in its first attempt."""
    used = {name: await ctx.step("use", str.upper, name) for name in task.value}
    if ctx.attempt == 1:
        raise RetryableError("once more")
    return Value(value=used)


def wait_at_the_gate() -> str:
    AT_GATE.set()
    GATE.wait(10)
    return "late"


async def fail_soon() -> str:
    while not AT_GATE.is_set():
        await asyncio.sleep(0)
    raise RetryableError("failed", retry_after_seconds=1)


async def begun_and_given_up(step: Coroutine[Any, Any, Any]) -> None:
    running = asyncio.ensure_future(step)
    while not AT_GATE.is_set():
        await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


@agent("race.leaves-a-step", timeout_seconds=10, max_attempts=2)
async def leaves_a_step(task: Value, ctx: Context) -> Value:
    """Ends while a step of its own still runs on a thread."""
    waiting = ctx.step("wait", wait_at_the_gate)
    match task.value:
        case "fails beside it":
            await asyncio.gather(waiting, ctx.step("fail", fail_soon))
        case "gives it up":
            await begun_and_given_up(waiting)
        case "parks":
            await begun_and_given_up(waiting)
            raise ParkedError("later", retry_after_seconds=1)
    return Value(value="ended")


ALL = [echo, one_step, stubborn, short, overrunning, long, slow, failing, keys, leaves_a_step]
