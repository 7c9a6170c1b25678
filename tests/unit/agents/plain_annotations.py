"""Agents whose module does not postpone the evaluation of annotations, as an author may write one."""

from pydantic import BaseModel

from flotilla.agents import Context


async def quoted(task: "Later", ctx: Context) -> "Later":
    return task


class Later(BaseModel):
    """Named before it is made."""

    value: int
