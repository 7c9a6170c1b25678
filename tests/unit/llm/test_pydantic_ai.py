"""pydantic-ai's agents by a route: each of their requests is one protected call, and what it raises passes through."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.exceptions import UnexpectedModelBehavior, UserError
from pydantic_ai.messages import BinaryContent, ImageUrl

from benchmarks.fault_lab.script import Reply, Script
from benchmarks.fault_lab.scripted_model import Answer
from flotilla.errors import AttemptRevokedError, BudgetExceededError, ParkedError
from flotilla.llm.client import Llm
from flotilla.llm.pydantic_ai import FlotillaModel
from flotilla.llm.served import Served
from flotilla.llm_ports import ModelReply, ModelRequest, Role, StopReason, ToolCall, ToolResult
from tests.fakes.models import MemoryModels, OneModel, Replies, said

LIBRARY = Path(__file__).parents[3] / "layers" / "flotilla" / "python"


class Calls:
    """`ModelCalls` that has each call made by one `Converse`, whatever the route, and keeps what was asked."""

    def __init__(self, converse: Any) -> None:
        self._converse = converse
        self.asked: list[tuple[str, ModelRequest, str | None]] = []

    async def converse(self, route: str, request: ModelRequest, quality: str | None = None) -> Served:
        self.asked.append((route, request, quality))
        served: Served = await self._converse(request)
        return served


class Weather(BaseModel):
    """How the weather is."""

    city: str
    celsius: int


def model(converse: Any, **options: Any) -> tuple[FlotillaModel, Calls]:
    calls = Calls(converse)
    return FlotillaModel(Llm(calls), "fast", **options), calls


def obedient() -> OneModel:
    return OneModel(MemoryModels(Script.steady()))


def test_an_agent_answers_by_a_route() -> None:
    found, calls = model(obedient(), quality="medium", settings={"max_tokens": 99, "temperature": 0.5})
    agent = Agent(found, instructions="be brief", system_prompt="you are kind")
    result = asyncio.run(agent.run("one two"))
    assert result.output == "7 words"
    ((route, request, quality),) = calls.asked
    assert (route, quality, request.max_tokens, request.temperature) == ("fast", "medium", 99, 0.5)
    assert request.system == "you are kind\n\nbe brief"
    assert [message.text for message in request.messages] == ["one two"]
    assert (result.usage.input_tokens, result.usage.output_tokens, result.usage.requests) == (7, 2, 1)
    last = result.all_messages()[-1]
    assert (last.model_name, last.provider_name, last.finish_reason) == ("one", "flotilla", "stop")  # type: ignore[union-attr]


def test_an_agent_with_a_tool_and_a_form_uses_both() -> None:
    found, calls = model(obedient())
    agent = Agent(found, output_type=Weather)
    looked: list[str] = []

    @agent.tool_plain
    def look(city: str) -> dict[str, int]:
        """Looks out of the window."""
        looked.append(city)
        return {"celsius": 21}

    result = asyncio.run(agent.run("look"))
    assert result.output == Weather(city="text", celsius=1)
    assert looked == ["text"]
    first, second = (request for _, request, _ in calls.asked)
    (tool,) = first.tools
    assert (tool.name, tool.description) == ("look", "Looks out of the window.")
    assert tool.input_schema["required"] == ["city"]
    assert first.output is not None
    assert (first.output.name, set(first.output.schema["properties"])) == ("Weather", {"city", "celsius"})
    assert [message.role for message in second.messages] == [Role.USER, Role.ASSISTANT, Role.USER]
    (call,) = second.messages[1].tool_calls
    assert (call.name, call.input) == ("look", {"city": "text"})
    assert list(second.messages[2].tool_results) == [ToolResult(call.id, {"celsius": 21})]


@pytest.mark.parametrize("form", [NativeOutput(Weather), PromptedOutput(Weather)])
def test_other_ways_to_ask_for_a_form_work_too(form: Any) -> None:
    found, calls = model(Replies(ModelReply(text='{"city": "Ulm", "celsius": 3}')))
    assert asyncio.run(Agent(found, output_type=form).run("x")).output == Weather(city="Ulm", celsius=3)
    assert (calls.asked[0][1].output is None) == isinstance(form, PromptedOutput)


def test_a_form_by_a_tool_works_too() -> None:
    call = ToolCall("1", "final_result", {"city": "Ulm", "celsius": 3})
    found, calls = model(Replies(ModelReply(text="", tool_calls=[call], stop_reason=StopReason.TOOL_USE)))
    assert asyncio.run(Agent(found, output_type=ToolOutput(Weather)).run("x")).output.celsius == 3
    assert [tool.name for tool in calls.asked[0][1].tools] == ["final_result"]


def test_what_does_not_fit_is_asked_for_again() -> None:
    found, calls = model(Replies(ModelReply(text='{"city": 3}'), ModelReply(text='{"city": "Ulm", "celsius": 3}')))
    assert asyncio.run(Agent(found, output_type=Weather).run("x")).output.city == "Ulm"
    assert "celsius" in calls.asked[1][1].messages[-1].text


def test_a_tool_that_wants_another_try_is_told_to_have_failed() -> None:
    call = ModelReply(text="", tool_calls=[ToolCall("1", "look", {})], stop_reason=StopReason.TOOL_USE)
    found, calls = model(Replies(call, ModelReply(text="ok")))
    agent = Agent(found)

    @agent.tool_plain
    def look() -> str:
        raise ModelRetry("look again")

    assert asyncio.run(agent.run("x")).output == "ok"
    (result,) = calls.asked[1][1].messages[-1].tool_results
    assert result.failed
    assert "look again" in str(result.content)


@pytest.mark.parametrize(
    "error", [ParkedError("wait"), AttemptRevokedError("gone"), BudgetExceededError("spent", scope="task#1")]
)
def test_what_a_call_raises_passes_through(error: Exception) -> None:
    async def failing(request: ModelRequest) -> Served:
        raise error

    found, _ = model(failing)
    with pytest.raises(type(error)) as raised:
        asyncio.run(Agent(found).run("x"))
    assert raised.value is error


def test_an_answer_that_is_cut_off_or_withheld_says_so() -> None:
    found, _ = model(OneModel(MemoryModels(Script.steady(Reply(body=said(Answer("", stop="filtered")))))))
    with pytest.raises(UnexpectedModelBehavior):
        asyncio.run(Agent(found).run("x"))


@pytest.mark.parametrize(
    "prompt",
    [
        ["see", ImageUrl("https://example.com/a.png")],
        ["see", BinaryContent(b"x", media_type="image/png")],
    ],
)
def test_what_is_no_text_is_refused(prompt: Sequence[Any]) -> None:
    found, calls = model(obedient())
    with pytest.raises(UserError):
        asyncio.run(Agent(found).run(prompt))
    assert calls.asked == []


def test_streaming_is_refused() -> None:
    found, _ = model(obedient())

    async def stream() -> None:
        async with Agent(found).run_stream("x") as result:
            await result.get_output()

    with pytest.raises(UserError, match="stream"):
        asyncio.run(stream())


def test_without_pydantic_ai_the_error_says_what_to_do() -> None:
    program = (
        "import sys; sys.modules['pydantic_ai'] = None\n"
        "try:\n    import flotilla.llm.pydantic_ai\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(LIBRARY)}, capture_output=True, text=True, check=True
    )
    assert "add it" in done.stdout
