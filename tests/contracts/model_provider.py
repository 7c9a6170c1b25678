"""The contract of `ModelProvider`: what a model is asked, what it answers, and what is made of it when it does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from benchmarks.fault_lab.script import Reply
from benchmarks.fault_lab.scripted_model import Answer
from flotilla.llm_ports import (
    CONTEXT_TOO_LONG,
    Message,
    ModelMisconfiguredError,
    ModelProvider,
    ModelRefusedError,
    ModelReply,
    ModelRequest,
    ModelThrottledError,
    ModelUnavailableError,
    OutputSchema,
    Role,
    StopReason,
    Tool,
    ToolCall,
    ToolResult,
)

T = TypeVar("T")

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "How the weather is.", CITY)
CLOCK = Tool("clock", "What time it is.", {"type": "object", "properties": {}})
SUMMARY = OutputSchema(
    "Summary",
    {
        "type": "object",
        "properties": {"title": {"type": "string"}, "pages": {"type": "integer"}, "kind": {"enum": ["letter", "bill"]}},
        "required": ["title", "pages"],
        "additionalProperties": False,
    },
)
OPEN = OutputSchema("Counts", {"type": "object", "additionalProperties": {"type": "integer"}})


def asking(text: str, **changes: Any) -> ModelRequest:
    return replace(ModelRequest(messages=[Message(Role.USER, text)]), **changes)


class Serving:
    """A provider whose other side follows a script.

    Attributes:
        dead: A provider whose other side is not there.
    """

    provider: ModelProvider
    dead: ModelProvider

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to its end."""
        raise NotImplementedError

    def follow(self, *replies: Reply) -> None:
        """From now on answer like that, one after the other; the last goes on."""
        raise NotImplementedError

    def body(self, answer: Answer) -> bytes:
        """How the other side says this."""
        raise NotImplementedError

    def failing(self, status: int, said: str = "as told", **headers: str) -> Reply:
        """How the other side fails with a status."""
        raise NotImplementedError

    def sent(self) -> int:
        """How many requests got through."""
        raise NotImplementedError

    def ask(self, request: ModelRequest, timeout_ms: int = 20_000) -> ModelReply:
        """Make one request."""
        return self.run(self.provider.converse("some.model-v1", request, timeout_ms=timeout_ms))


class ModelProviderContract:
    """Provide a fixture `serving`: makes one."""

    def test_text_comes_back_with_what_it_used(self, serving: Callable[[], Serving]) -> None:
        reply = serving().ask(asking("one two three", system="be brief"))
        # Not all say who answered.
        assert replace(reply, model=None) == ModelReply(text="5 words", input_tokens=5, output_tokens=2)

    def test_a_conversation_is_told_whole(self, serving: Callable[[], Serving]) -> None:
        talk = [
            Message(Role.USER, "one two"),
            Message(Role.ASSISTANT, "three"),
            Message(Role.USER, "größe 🚀"),
            Message(Role.USER, "six"),
        ]
        assert serving().ask(ModelRequest(messages=talk)).text == "6 words"

    def test_an_answer_ends_where_it_may_be_no_longer(self, serving: Callable[[], Serving]) -> None:
        reply = serving().ask(asking("one two", max_tokens=1))
        assert (reply.text, reply.stop_reason, reply.output_tokens) == ("2", StopReason.MAX_TOKENS, 1)

    def test_what_the_provider_withholds_is_said_to_be(self, serving: Callable[[], Serving]) -> None:
        there = serving()
        there.follow(Reply(body=there.body(Answer("no", stop="filtered"))))
        assert there.ask(asking("x")).stop_reason is StopReason.FILTERED

    def test_what_was_kept_from_before_is_part_of_what_was_read(self, serving: Callable[[], Serving]) -> None:
        there = serving()
        there.follow(Reply(body=there.body(Answer("ok", read=100, cached=80, written=3))))
        reply = there.ask(asking("x"))
        assert (reply.input_tokens, reply.cached_input_tokens, reply.output_tokens) == (100, 80, 3)

    def test_tools_are_asked_for_and_their_results_are_read(self, serving: Callable[[], Serving]) -> None:
        there = serving()
        request = asking("weather and clock please", tools=[WEATHER, CLOCK])
        reply = there.ask(request)
        assert reply.stop_reason is StopReason.TOOL_USE
        assert [(call.name, call.input) for call in reply.tool_calls] == [("weather", {"city": "text"}), ("clock", {})]
        first, second = reply.tool_calls
        assert first.id != second.id
        results = [ToolResult(first.id, {"sky": "blue"}), ToolResult(second.id, "12:00")]
        said = Message(Role.ASSISTANT, reply.text, tool_calls=reply.tool_calls)
        request = replace(request, messages=[*request.messages, said, Message(Role.USER, tool_results=results)])
        reply = there.ask(request)
        assert (reply.text, reply.stop_reason) == ('results: {"sky": "blue"} 12:00', StopReason.END)

    @pytest.mark.parametrize("content", ["", None, 3, [1, "two"], {"a": {"b": None}}])
    def test_a_result_may_be_any_json_value(self, serving: Callable[[], Serving], content: Any) -> None:
        talk = [
            Message(Role.USER, "go"),
            Message(Role.ASSISTANT, tool_calls=[ToolCall("call_1", "weather", {"city": "x"})]),
            Message(Role.USER, tool_results=[ToolResult("call_1", content)]),
        ]
        assert serving().ask(ModelRequest(messages=talk, tools=[WEATHER])).text.startswith("results: ")

    def test_that_a_tool_failed_is_told(self, serving: Callable[[], Serving]) -> None:
        talk = [
            Message(Role.USER, "go"),
            Message(Role.ASSISTANT, tool_calls=[ToolCall("call_1", "weather", {"city": "x"})]),
            Message(Role.USER, tool_results=[ToolResult("call_1", "no such city", failed=True)]),
        ]
        text = serving().ask(ModelRequest(messages=talk, tools=[WEATHER])).text
        assert "error" in text
        assert "no such city" in text

    def test_another_models_calls_can_be_told(self, serving: Callable[[], Serving]) -> None:
        name = "call/with spaces and more characters than some would let an id have, by far"
        talk = [
            Message(Role.USER, "go"),
            Message(Role.ASSISTANT, tool_calls=[ToolCall(name, "gone", {})]),
            Message(Role.USER, "on", tool_results=[ToolResult(name, "done")]),
        ]
        assert serving().ask(ModelRequest(messages=talk)).text == "results: done"

    def test_an_answer_has_the_form_that_was_asked_for(self, serving: Callable[[], Serving]) -> None:
        reply = serving().ask(asking("the file", output=SUMMARY))
        assert json.loads(reply.text) == {"title": "text", "pages": 1, "kind": "letter"}
        assert (reply.tool_calls, reply.stop_reason) == ((), StopReason.END)

    def test_a_form_that_cannot_be_enforced_is_asked_for_all_the_same(self, serving: Callable[[], Serving]) -> None:
        assert json.loads(serving().ask(asking("the file", output=OPEN)).text) == {}

    def test_tools_come_before_the_form(self, serving: Callable[[], Serving]) -> None:
        there = serving()
        request = asking("weather", tools=[WEATHER], output=SUMMARY)
        reply = there.ask(request)
        assert [call.name for call in reply.tool_calls] == ["weather"]
        assert reply.stop_reason is StopReason.TOOL_USE
        talk = [
            *request.messages,
            Message(Role.ASSISTANT, tool_calls=reply.tool_calls),
            Message(Role.USER, tool_results=[ToolResult(reply.tool_calls[0].id, "fine")]),
        ]
        reply = there.ask(replace(request, messages=talk))
        assert json.loads(reply.text)["title"] == "text"
        assert reply.stop_reason is StopReason.END

    def test_a_request_is_made_once_whatever_becomes_of_it(self, serving: Callable[[], Serving]) -> None:
        there = serving()
        failing = [there.failing(status) for status in (400, 401, 403, 404, 429, 500, 503)]
        there.follow(*failing)
        for _ in failing:
            with pytest.raises(
                (ModelThrottledError, ModelUnavailableError, ModelMisconfiguredError, ModelRefusedError)
            ):
                there.ask(asking("x"))
        assert there.sent() == len(failing)

    def test_who_is_throttled_is_told_for_how_long(self, serving: Callable[[], Serving]) -> None:
        there = serving()
        there.follow(there.failing(429), there.failing(429, **{"Retry-After": "7"}))
        waits = []
        for _ in range(2):
            with pytest.raises(ModelThrottledError) as throttled:
                there.ask(asking("x"))
            waits.append(throttled.value.retry_after_seconds)
        assert waits == [None, 7.0]

    @pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
    def test_a_provider_that_fails_is_unavailable(self, serving: Callable[[], Serving], status: int) -> None:
        there = serving()
        there.follow(there.failing(status, **{"Retry-After": "3"}))
        with pytest.raises(ModelUnavailableError) as failed:
            there.ask(asking("x"))
        assert failed.value.retry_after_seconds == 3.0

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_who_may_not_ask_is_misconfigured(self, serving: Callable[[], Serving], status: int) -> None:
        there = serving()
        there.follow(there.failing(status, "key sk-123 of arn:aws:iam::1:role/x is wrong"))
        with pytest.raises(ModelMisconfiguredError) as refused:
            there.ask(asking("x"))
        assert "sk-123" not in refused.value.message, "clients read it"

    def test_a_request_that_is_wrong_is_refused_with_the_reason(self, serving: Callable[[], Serving]) -> None:
        there = serving()
        there.follow(there.failing(400, "temperature: wrong"))
        with pytest.raises(ModelRefusedError) as refused:
            there.ask(asking("x"))
        assert refused.value.code == "model_refused"

    def test_a_request_that_is_too_long_can_be_told_from_others(self, serving: Callable[[], Serving]) -> None:
        there = serving()
        there.follow(there.failing(400, "prompt is too long: 209353 tokens > 200000 maximum"))
        with pytest.raises(ModelRefusedError) as refused:
            there.ask(asking("x"))
        assert refused.value.code == CONTEXT_TOO_LONG

    @pytest.mark.parametrize("fault", ["reset", "cut"])
    def test_an_answer_that_breaks_off_is_none(self, serving: Callable[[], Serving], fault: Any) -> None:
        there = serving()
        there.follow(Reply(fault=fault), Reply())
        with pytest.raises(ModelUnavailableError):
            there.ask(asking("x"))
        assert there.sent() == 1
        assert there.ask(asking("x y")).text == "2 words"

    @pytest.mark.parametrize("body", [b"", b"{", b"{}", b"<html>", b'{"choices":[]}', b'{"output":{}}'])
    def test_what_is_no_answer_is_none(self, serving: Callable[[], Serving], body: bytes) -> None:
        there = serving()
        there.follow(Reply(body=body))
        with pytest.raises(ModelUnavailableError) as failed:
            there.ask(asking("x"))
        assert failed.value.code == "model_answer_invalid"

    @pytest.mark.parametrize("reply", [Reply(fault="stall"), Reply(latency_ms=(3000, 3000))])
    def test_a_call_ends_when_its_time_is_up(self, serving: Callable[[], Serving], reply: Reply) -> None:
        there = serving()
        there.follow(reply, Reply())
        with pytest.raises(ModelUnavailableError) as failed:
            there.ask(asking("x"), timeout_ms=200)
        assert failed.value.code == "model_timeout"
        assert there.ask(asking("x")).text == "1 words", "the next is not the worse for it"

    def test_who_waits_can_be_cancelled(self, serving: Callable[[], Serving]) -> None:
        there = serving()
        there.follow(Reply(fault="stall"), Reply())

        async def cut_short() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await there.provider.converse("m", asking("x"), timeout_ms=20_000)

        there.run(cut_short())
        assert there.ask(asking("x")).text == "1 words"

    def test_who_is_not_there_is_unavailable(self, serving: Callable[[], Serving]) -> None:
        there = serving()
        with pytest.raises(ModelUnavailableError) as failed:
            there.run(there.dead.converse("m", asking("x"), timeout_ms=5000))
        assert failed.value.code == "model_unreachable"
