"""`letter.sort`, `letter.draft` and `letter.send`: the steps of one agent, as three that a workflow puts in order."""

from typing import Literal

from pydantic import BaseModel, Field

from flotilla.agents import Context, agent
from flotilla.errors import PermanentError


class Letter(BaseModel):
    """A letter."""

    id: str = Field(min_length=1)
    text: str


class Sorted(BaseModel):
    """What it wants."""

    kind: Literal["thanks", "other"]


class Draft(BaseModel):
    """What might be answered."""

    text: str


class Answer(BaseModel):
    """What is to be sent."""

    id: str
    text: str


class Sent(BaseModel):
    """What was."""

    letter: str


@agent("letter.sort", version="1", timeout_seconds=20, errors=("illegible",))
async def sort(task: Letter, ctx: Context) -> Sorted:
    """Say what a letter wants."""
    if not any(character.isalpha() for character in task.text):
        raise PermanentError("there is nothing to be read in it", code="illegible")
    return Sorted(kind="thanks" if "thank you" in task.text.lower() else "other")


@agent("letter.draft", version="2", timeout_seconds=60, max_attempts=5, routes=["fast"])
async def draft(task: Letter, ctx: Context) -> Draft:
    """Answer a letter; nothing is sent."""
    return Draft(text=await ctx.llm.generate(route="fast", prompt=f"Answer this letter:\n\n{task.text}"))


@agent("letter.send", version="1", timeout_seconds=30, max_attempts=5, integrations=["post"])
async def send(task: Answer, ctx: Context) -> Sent:
    """Send an answer."""
    await ctx.integration("post").post("/letters", json={"letter": task.id, "text": task.text})
    return Sent(letter=task.id)
