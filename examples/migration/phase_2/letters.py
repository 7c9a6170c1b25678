"""`letter.answer`: the body of the loop, moved as it was; the queue is its `get_next_task`."""

from typing import Any

from flotilla.agents import Context, agent


@agent("letter.answer", version="1", timeout_seconds=60, max_attempts=3, routes=["fast"], integrations=["post"])
async def answer(task: dict[str, Any], ctx: Context) -> str:
    """Answer a letter."""
    if not any(character.isalpha() for character in task["text"]):
        raise ValueError("there is nothing to be read in it")
    text = await ctx.llm.generate(route="fast", prompt=f"Answer this letter:\n\n{task['text']}")
    await ctx.integration("post").post("/letters", json={"letter": task["id"], "text": text})
    return text
