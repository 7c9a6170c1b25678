"""Tools: called with what their parameters take, all of one reply at once; what goes wrong is told to the model."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import threading
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from flotilla.errors import (
    AttemptRevokedError,
    BudgetExceededError,
    ParkedError,
    PermanentError,
    RetryableError,
    StoreUnavailableError,
)
from flotilla.llm.tool_use import ToolRoundsError, ToolSpec, use_tools
from flotilla.llm_ports import Message, ModelReply, ModelRequest, Role, StopReason, ToolCall, ToolResult
from tests.fakes.models import Replies

REQUEST = ModelRequest(messages=[Message(Role.USER, "go")], system="be brief")


def calls(*named: tuple[str, dict[str, Any]], text: str = "") -> ModelReply:
    made = [ToolCall(str(number), name, given) for number, (name, given) in enumerate(named)]
    return ModelReply(text=text, tool_calls=made, stop_reason=StopReason.TOOL_USE)


DONE = ModelReply(text="done")


def results(converse: Replies, asked: int = -1) -> list[ToolResult]:
    return list(converse.asked[asked].messages[-1].tool_results)


def use(converse: Replies, *functions: Callable[..., Any], **options: Any) -> ModelReply:
    served = asyncio.run(use_tools(converse, REQUEST, [ToolSpec.of(each) for each in functions], **options))
    return served.reply


class Unit(enum.Enum):
    C = "celsius"
    F = "fahrenheit"


class Place(BaseModel):
    city: str
    country: str = "DE"


async def weather(
    place: Place, on: dt.date, unit: Unit = Unit.C, schema: Annotated[int, Field(description="odd")] = 1
) -> Any:
    """How the weather is."""
    return {"city": place.city, "on": on, "unit": unit, "schema": schema}


def test_a_model_is_told_of_a_tool_by_its_signature() -> None:
    tool = ToolSpec.of(weather).tool()
    assert (tool.name, tool.description) == ("weather", "How the weather is.")
    schema = tool.input_schema
    assert schema["required"] == ["place", "on"]
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == ["place", "on", "unit", "schema"]
    assert schema["properties"]["schema"] == {"default": 1, "description": "odd", "type": "integer"}


def test_functions_get_what_their_parameters_say() -> None:
    converse = Replies(calls(("weather", {"place": {"city": "Ulm"}, "on": "2026-11-21", "unit": "fahrenheit"})), DONE)
    assert use(converse, weather).text == "done"
    assert results(converse) == [
        ToolResult("0", {"city": "Ulm", "on": "2026-11-21", "unit": "fahrenheit", "schema": 1})
    ]
    said = converse.asked[1].messages[1]
    assert (said.role, said.tool_calls[0].name) == (Role.ASSISTANT, "weather")
    assert [tool.name for tool in converse.asked[0].tools] == ["weather"]
    assert converse.asked[1].system == "be brief"


def test_who_needs_no_tool_is_not_asked_twice() -> None:
    converse = Replies(DONE)
    assert use(converse, weather) == DONE
    assert len(converse.asked) == 1


@pytest.mark.parametrize(
    "given", [{}, {"place": {}, "on": "x"}, {"place": {"city": "x"}, "on": "2026-01-01", "more": 1}]
)
def test_an_input_that_is_not_valid_is_told_to_the_model(given: dict[str, Any]) -> None:
    converse = Replies(calls(("weather", given)), DONE)
    use(converse, weather)
    (result,) = results(converse)
    assert result.failed
    assert "/" in result.content


def test_a_tool_that_is_not_there_is_told_to_the_model() -> None:
    converse = Replies(calls(("wether", {})), DONE)
    use(converse, weather)
    assert results(converse) == [ToolResult("0", "There is no tool 'wether', only weather.", failed=True)]


@pytest.mark.parametrize(
    "error", [ValueError("no"), RetryableError("no", code="crm"), PermanentError("no"), TimeoutError("no")]
)
def test_what_a_tool_raises_is_told_to_the_model(error: Exception) -> None:
    async def broken() -> None:
        raise error

    converse = Replies(calls(("broken", {})), DONE)
    assert use(converse, broken).text == "done"
    (result,) = results(converse)
    assert result.failed
    assert result.content.endswith(": no")


def test_what_is_not_json_is_the_tools_failure() -> None:
    converse = Replies(calls(("odd", {})), DONE)

    def odd() -> object:
        return object()

    use(converse, odd)
    assert results(converse)[0].failed


@pytest.mark.parametrize(
    "error",
    [
        ParkedError("wait"),
        AttemptRevokedError("gone"),
        StoreUnavailableError("down"),
        BudgetExceededError("spent", scope="task#1"),
    ],
)
def test_what_ends_the_attempt_passes_through_and_takes_the_others_along(error: Exception) -> None:
    ended: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("slow")

    async def parked() -> None:
        await asyncio.sleep(0)
        raise error

    with pytest.raises(type(error)):
        use(Replies(calls(("slow", {}), ("parked", {}))), slow, parked)
    assert ended == ["slow"]


def test_tools_of_one_reply_run_at_once_and_answer_in_order() -> None:
    met = asyncio.Barrier(3)

    async def meet(number: int) -> int:
        await met.wait()
        return number

    converse = Replies(calls(*(("meet", {"number": number}) for number in (3, 1, 2))), DONE)
    use(converse, meet)
    assert [result.content for result in results(converse)] == [3, 1, 2]


def test_a_plain_function_runs_on_a_thread() -> None:
    def where() -> bool:
        return threading.current_thread() is threading.main_thread()

    converse = Replies(calls(("where", {})), DONE)
    use(converse, where)
    assert results(converse)[0].content is False
    ran = []

    async def run_here(function: Callable[..., Any], *args: Any) -> Any:
        ran.append(function)
        return function(*args)

    converse = Replies(calls(("where", {})), DONE)
    use(converse, where, run_sync=run_here)
    assert results(converse)[0].content is True
    assert len(ran) == 1


def test_a_plain_function_may_give_something_to_wait_for() -> None:
    async def later() -> str:
        return "later"

    def soon() -> Awaitable[str]:
        return later()

    converse = Replies(calls(("soon", {})), DONE)
    use(converse, soon)
    assert results(converse)[0].content == "later"


@pytest.mark.parametrize("rounds", [1, 3])
def test_rounds_are_bounded(rounds: int) -> None:
    ran = []

    def again() -> None:
        ran.append(1)

    converse = Replies(*[calls(("again", {}))] * (rounds + 1))
    with pytest.raises(ToolRoundsError) as endless:
        use(converse, again, rounds=rounds)
    assert endless.value.code == "model_tool_rounds"
    assert len(converse.asked) == rounds


@pytest.mark.parametrize("stop_reason", [StopReason.MAX_TOKENS, StopReason.FILTERED])
def test_calls_that_were_cut_off_are_not_made(stop_reason: StopReason) -> None:
    ran = []

    def act() -> None:
        ran.append(1)

    reply = ModelReply(text="so", tool_calls=[ToolCall("1", "act", {})], stop_reason=stop_reason)
    assert use(Replies(reply), act) == reply
    assert ran == []


def positional(x: int, /) -> None: ...
def several(*x: int) -> None: ...
def named(**x: int) -> None: ...
def unknown(x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821 - that is the point


@pytest.mark.parametrize("function", [positional, several, named, unknown])
def test_what_cannot_be_called_by_names_is_no_tool(function: Callable[..., Any]) -> None:
    with pytest.raises(PermanentError) as invalid:
        ToolSpec.of(function)
    assert invalid.value.code == "invalid_tool"


def test_names_are_such_as_all_providers_take_and_different() -> None:
    with pytest.raises(PermanentError):
        ToolSpec("two words", "", weather)
    with pytest.raises(PermanentError):
        use(Replies(DONE), weather, weather)
