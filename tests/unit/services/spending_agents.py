"""Agents that call models, and submit others that do."""

from __future__ import annotations

from pydantic import BaseModel

from flotilla.agents import Context, agent
from flotilla.errors import RetryableError


class Wish(BaseModel):
    """How many calls to make, and of how many children."""

    calls: int = 1
    children: int = 0
    fail_attempts: int = 0


@agent("spending.plain", timeout_seconds=60, max_attempts=3, routes=["*"], backoff_base_seconds=0)
async def plain(task: Wish, ctx: Context) -> list[str]:
    """Calls, submits, and fails if it is told to."""
    for _ in range(task.calls):
        await ctx.llm.generate(route="best", prompt="say something", max_tokens=100)
    if ctx.attempt <= task.fail_attempts:
        raise RetryableError("once more")
    return [await ctx.submit("spending.plain", Wish(calls=task.calls)) for _ in range(task.children)]


ALL = [plain]
