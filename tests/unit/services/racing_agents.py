"""Agents for the tests of races; what they did is kept in `HISTORY`."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from pydantic import BaseModel

from flotilla.agents import Context, SyncContext, agent
from flotilla.errors import FlotillaError, RetryableError
from tests.fakes import ManualClock

HISTORY: list[Any] = []
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


ALL = [echo, one_step, stubborn, short, overrunning, long, slow, failing]
