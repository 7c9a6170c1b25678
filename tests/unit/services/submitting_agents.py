"""Agents that submit tasks, plain and async, and what is submitted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel

from flotilla.agents import Context, SyncContext, agent
from flotilla.errors import RetryableError

BEFORE: list[Callable[[], Awaitable[None]]] = []
"""What happens to an attempt of `submitting.parent` before it submits."""


class Order(BaseModel):
    """What to submit."""

    children: int = 1
    fail_attempts: int = 0
    options: dict[str, Any] = {}
    agent: str = "submitting.leaf"


class Leaf(BaseModel):
    """Of a child."""

    number: int
    attempt: int = 0


@agent("submitting.leaf", timeout_seconds=10, lane="batch")
async def leaf(task: Leaf, ctx: Context) -> int:
    """Nothing in particular."""
    return task.number


@agent("submitting.frugal", timeout_seconds=10, budget_usd=0.25)
async def frugal(task: Leaf, ctx: Context) -> int:
    """With a budget of its own."""
    return task.number


@agent("submitting.parent", timeout_seconds=10, max_attempts=10, backoff_base_seconds=1)
async def parent(task: Order, ctx: Context) -> list[str]:
    """Submits them all at once; what they are told differs from attempt to attempt."""
    for happen in BEFORE:
        await happen()
    children = await asyncio.gather(
        *(
            ctx.submit(task.agent, Leaf(number=number, attempt=ctx.attempt), **task.options)
            for number in range(task.children)
        )
    )
    if ctx.attempt <= task.fail_attempts:
        raise RetryableError("once more")
    return list(children)


@agent("submitting.plain", timeout_seconds=10, max_attempts=10, backoff_base_seconds=1)
def plain(task: Order, ctx: SyncContext) -> list[str]:
    """One in a step, and one outside, both of the same name."""

    def in_step() -> str:
        return ctx.submit(task.agent, {"number": 1}, name="same")

    inside: str = ctx.step("first", in_step)
    if ctx.attempt <= task.fail_attempts:
        raise RetryableError("between the two")
    return [inside, ctx.submit(task.agent, {"number": 2}, name="same")]


@agent("submitting.itself", timeout_seconds=10)
async def itself(task: Leaf, ctx: Context) -> str:
    """For ever, were it let."""
    return await ctx.submit("submitting.itself", {"number": task.number + 1})


@agent("submitting.once-more", timeout_seconds=10, max_attempts=3)
async def once_more(task: Order, ctx: Context) -> list[str]:
    """Submits again what was not known to be submitted, and then another one."""
    children = []
    for number in range(2):
        try:
            children.append(await ctx.submit(task.agent, {"number": number}))
        except RetryableError:
            children.append(await ctx.submit(task.agent, {"number": number}))
    return children


ALL = [leaf, frugal, parent, plain, itself, once_more]
