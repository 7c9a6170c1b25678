"""Agents that call an integration, plain and async."""

from __future__ import annotations

from pydantic import BaseModel

from flotilla.agents import Context, SyncContext, agent


class Order(BaseModel):
    """How often to call, and whom."""

    calls: int = 1
    integration: str = "crm"


@agent("calling.async", integrations=["crm"], max_attempts=3)
async def calls_async(task: Order, ctx: Context) -> list[int]:
    """POST to it."""
    crm = ctx.integration(task.integration)
    return [(await crm.post("/orders", json={"number": number})).status for number in range(task.calls)]


@agent("calling.plain", integrations=["crm"], max_attempts=3)
def calls_plain(task: Order, ctx: SyncContext) -> list[int]:
    """The same on a thread, each call in a step, and one outside."""
    crm = ctx.integration(task.integration)

    def order(number: int) -> int:
        return crm.post("/orders", json={"number": number}).status

    steps: list[int] = [ctx.step("order", order, number) for number in range(task.calls)]
    return [*steps, crm.post("/orders").status]


@agent("calling.steps", integrations=["crm"], max_attempts=3)
async def calls_in_steps(task: Order, ctx: Context) -> list[int]:
    """As the plain one."""
    crm = ctx.integration(task.integration)

    async def order(number: int) -> int:
        return (await crm.post("/orders", json={"number": number})).status

    steps: list[int] = [await ctx.step("order", order, number) for number in range(task.calls)]
    return [*steps, (await crm.post("/orders")).status]


@agent("calling.nobody", max_attempts=3)
async def declares_nobody(task: Order, ctx: Context) -> int:
    """Calls what it does not declare."""
    return (await ctx.integration(task.integration).get("/")).status


CALLING = [calls_async, calls_plain, calls_in_steps, declares_nobody]
