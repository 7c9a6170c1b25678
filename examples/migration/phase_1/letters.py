"""`letter.draft`: what the loop asked a model for, behind the fleet's retries, circuits, limits and budgets."""

from pydantic import BaseModel

from flotilla.agents import Context, agent
from flotilla.errors import PermanentError


class Letter(BaseModel):
    """A letter."""

    text: str


class Draft(BaseModel):
    """What might be answered."""

    text: str


@agent("letter.draft", version="1", timeout_seconds=60, routes=["fast"], errors=("illegible",))
async def draft(task: Letter, ctx: Context) -> Draft:
    """Answer a letter; nothing is sent."""
    if not any(character.isalpha() for character in task.text):
        raise PermanentError("there is nothing to be read in it", code="illegible")
    return Draft(text=await ctx.llm.generate(route="fast", prompt=f"Answer this letter:\n\n{task.text}"))
