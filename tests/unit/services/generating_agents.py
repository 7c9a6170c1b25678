"""Agents that call models, plain and async."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from flotilla.agents import Context, SyncContext, agent
from flotilla.errors import PermanentError, RetryableError


class Order(BaseModel):
    """How often to ask, by which route, and what becomes of it after that."""

    calls: int = 1
    route: str = "best"
    then: str = "succeed"


@agent("generating.async", routes=["best", "alone"], max_attempts=3)
async def generates_async(task: Order, ctx: Context) -> list[str]:
    """Asks."""
    found = await asyncio.gather(
        *(ctx.llm.generate(route=task.route, prompt=f"number {number}") for number in range(task.calls))
    )
    if task.then == "fail":
        raise RetryableError("told to fail")
    if task.then == "die":
        raise PermanentError("told to fail")
    return found


@agent("generating.plain", routes=["best", "alone"], max_attempts=3)
def generates_plain(task: Order, ctx: SyncContext) -> list[str]:
    """The same on a thread."""
    return [str(ctx.llm.generate(route=task.route, prompt=f"number {number}")) for number in range(task.calls)]


@agent("generating.typed", routes=["best"])
async def generates_typed(task: Order, ctx: Context) -> Order:
    """Has an answer of a type."""
    return await ctx.llm.generate(route=task.route, prompt="an order", output=Order)


GENERATING = [generates_async, generates_plain, generates_typed]
