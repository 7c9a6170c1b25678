"""`letter.answer`, as an agent of its own: typed, in steps, with errors that have names."""

from pydantic import BaseModel, Field

from flotilla.agents import Context, agent
from flotilla.errors import PermanentError


class Letter(BaseModel):
    """A letter."""

    id: str = Field(min_length=1)
    text: str


class Answered(BaseModel):
    """What was answered."""

    letter: str
    text: str


@agent(
    "letter.answer",
    version="2",
    timeout_seconds=60,
    max_attempts=5,
    routes=["fast"],
    integrations=["post"],
    errors=("illegible",),
)
async def answer(task: Letter, ctx: Context) -> Answered:
    """Answer a letter: one draft is paid for and one answer sent, whatever dies in between."""
    if not any(character.isalpha() for character in task.text):
        raise PermanentError("there is nothing to be read in it", code="illegible")

    async def draft() -> str:
        return str(await ctx.llm.generate(route="fast", prompt=f"Answer this letter:\n\n{task.text}"))

    async def send(text: str) -> int:
        # The call carries a key that is the same in every attempt, so the post office drops what it has seen.
        return (await ctx.integration("post").post("/letters", json={"letter": task.id, "text": text})).status

    text: str = await ctx.step("draft", draft)
    await ctx.step("send", send, text)
    return Answered(letter=task.id, text=text)
