"""Agents that have a model answer for one item together with others."""

from __future__ import annotations

from pydantic import BaseModel

from flotilla.agents import Context, SyncContext, agent
from tests.unit.services.batching import Label


class Mail(BaseModel):
    """What to label."""

    text: str
    skip: bool = False


@agent("mail.label", routes=["best"], max_attempts=3)
async def labels(task: Mail, ctx: Context) -> Label | None:
    """Label it, or leave it."""
    if task.skip:
        return None
    return await ctx.llm.generate_together(
        route="best", instructions="Label the mail.", item=task.text, output=Label, max_tokens=50
    )


@agent("mail.label.plain", routes=["best"], max_attempts=3)
def labels_plainly(task: Mail, ctx: SyncContext) -> Label:
    """The same on a thread."""
    return ctx.llm.generate_together(
        route="best", instructions="Label the mail.", item=task.text, output=Label, max_tokens=50
    )


LABELLING = [labels, labels_plainly]
