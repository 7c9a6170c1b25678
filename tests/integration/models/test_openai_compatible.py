"""The OpenAI-compatible provider over real sockets: it keeps the contract, and takes servers as they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from benchmarks.fault_lab.script import Reply
from benchmarks.fault_lab.scripted_model import Answer
from flotilla.integrations.declaration import Auth
from flotilla.llm.openai_compatible import OpenAiCompatible
from flotilla.llm_ports import (
    CONTEXT_TOO_LONG,
    ModelMisconfiguredError,
    ModelRefusedError,
    ModelThrottledError,
    ModelUnavailableError,
    StopReason,
)
from flotilla.primitives.webhook_url import InvalidUrlError
from tests.contracts.model_provider import OPEN, SUMMARY, WEATHER, ModelProviderContract, asking
from tests.fakes import ManualClock
from tests.integration.models.serving import OpenAiOnLoopback, on_loopback


@pytest.fixture
def made() -> Iterator[Callable[..., OpenAiOnLoopback]]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(on_loopback(partial(OpenAiOnLoopback, **options)))


class TestOpenAiCompatible(ModelProviderContract):
    @pytest.fixture(params=["schema", "json", "prompt"])
    def serving(
        self, made: Callable[..., OpenAiOnLoopback], request: pytest.FixtureRequest
    ) -> Callable[[], OpenAiOnLoopback]:
        return partial(made, structured=request.param)


@pytest.fixture
def there(made: Callable[..., OpenAiOnLoopback]) -> OpenAiOnLoopback:
    return made()


def test_what_is_sent_is_what_all_servers_know(there: OpenAiOnLoopback) -> None:
    there.ask(asking("hello", system="be brief", tools=[WEATHER]))
    (received,) = there.server.received
    assert (received.method, received.path) == ("POST", "/v1/chat/completions")
    assert received.headers["authorization"] == "Bearer sk-1"
    assert received.json() == {
        "model": "some.model-v1",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}],
        "max_tokens": 1024,
        "stream": False,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": "How the weather is.",
                    "parameters": dict(WEATHER.input_schema),
                },
            }
        ],
    }


def test_what_servers_call_differently_is_declared(made: Callable[..., OpenAiOnLoopback]) -> None:
    there = made(auth=None, max_tokens_member="max_completion_tokens")
    there.ask(asking("hello", max_tokens=9, temperature=0.5))
    (received,) = there.server.received
    assert "authorization" not in received.headers
    body = received.json()
    assert (body["max_completion_tokens"], body["temperature"], "max_tokens" in body) == (9, 0.5, False)


def test_a_query_of_the_base_url_stays(made: Callable[..., OpenAiOnLoopback]) -> None:
    there = made()
    base = f"{there.server.url}/openai/deployments/x/?api-version=1"
    provider = there._provider(base, auth=Auth("header", "key", header="api-key"))
    there.run(provider.converse("m", asking("x"), timeout_ms=5000))
    (received,) = there.server.received
    assert received.path == "/openai/deployments/x/chat/completions?api-version=1"
    assert received.headers["api-key"] == "sk-1"


def test_a_schema_is_sent_strict_where_it_can_be(there: OpenAiOnLoopback) -> None:
    there.ask(asking("x", output=SUMMARY))
    there.ask(asking("x", output=OPEN))
    strict, loose = (body["response_format"]["json_schema"] for body in there.received)
    assert (strict["name"], strict["strict"], loose["strict"]) == ("Summary", True, False)
    assert strict["schema"]["required"] == ["title", "pages", "kind"]
    assert loose["schema"] == OPEN.schema


def test_who_knows_no_schemas_is_told_in_words(made: Callable[..., OpenAiOnLoopback]) -> None:
    for structured, form in (("json", {"type": "json_object"}), ("prompt", None)):
        there = made(structured=structured)
        there.ask(asking("x", output=SUMMARY, system="be brief"))
        (body,) = there.received
        assert body.get("response_format") == form
        assert body["messages"][0]["content"].startswith("be brief\n\nAnswer with a JSON object")


def test_a_server_that_counts_nothing_is_not_free(there: OpenAiOnLoopback) -> None:
    there.follow(Reply(body=b'{"choices":[{"message":{"content":"12345678"}}]}'))
    reply = there.ask(asking("x" * 400))
    assert 100 <= reply.input_tokens <= 150
    assert (reply.output_tokens, reply.stop_reason) == (2, StopReason.END)


def choice(message: dict[str, Any], reason: str | None = "stop") -> Reply:
    return Reply(body=json.dumps({"choices": [{"finish_reason": reason, "message": message}]}).encode())


def called(arguments: Any, **more: Any) -> dict[str, Any]:
    return {"content": None, "tool_calls": [{"function": {"name": "weather", "arguments": arguments}, **more}]}


@pytest.mark.parametrize("reason", ["stop", "tool_calls", None])
@pytest.mark.parametrize("arguments", ['{"city": "x"}', {"city": "x"}])
def test_a_call_is_a_call_however_it_is_said(there: OpenAiOnLoopback, reason: str | None, arguments: Any) -> None:
    there.follow(choice(called(arguments), reason))
    reply = there.ask(asking("x", tools=[WEATHER]))
    assert reply.stop_reason is StopReason.TOOL_USE
    assert [(call.id, call.input) for call in reply.tool_calls] == [("call_0", {"city": "x"})]


@pytest.mark.parametrize("arguments", ["{", "[]", "3", '"text"'])
def test_a_call_that_cannot_be_read_is_no_answer_unless_it_was_cut_off(there: OpenAiOnLoopback, arguments: str) -> None:
    there.follow(choice(called(arguments)), choice(called(arguments), "length"))
    with pytest.raises(ModelUnavailableError) as failed:
        there.ask(asking("x", tools=[WEATHER]))
    assert failed.value.code == "model_answer_invalid"
    reply = there.ask(asking("x", tools=[WEATHER]))
    assert (reply.tool_calls, reply.stop_reason) == ((), StopReason.MAX_TOKENS)


def test_a_text_may_come_in_parts_and_a_refusal_by_itself(there: OpenAiOnLoopback) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "reasoning", "text": "hm"}, {"type": "text", "text": "b"}]
    there.follow(choice({"content": parts}), choice({"content": None, "refusal": "I will not"}))
    assert there.ask(asking("x")).text == "ab"
    reply = there.ask(asking("x"))
    assert (reply.text, reply.stop_reason) == ("I will not", StopReason.FILTERED)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "slow down", "code": 429}, ModelThrottledError),
        ({"message": "upstream is gone", "code": 503}, ModelUnavailableError),
        ({"message": "what now", "code": "odd"}, ModelUnavailableError),
        ("text", ModelUnavailableError),
    ],
)
def test_an_error_is_one_also_where_its_status_says_otherwise(
    there: OpenAiOnLoopback, error: Any, kind: type[Exception]
) -> None:
    there.follow(Reply(body=json.dumps({"error": error}).encode()))
    with pytest.raises(kind):
        there.ask(asking("x"))


@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        (429, {"code": "insufficient_quota"}, ModelMisconfiguredError, "model_misconfigured"),
        (402, {"message": "no credit"}, ModelMisconfiguredError, "model_misconfigured"),
        (400, {"code": "model_not_found"}, ModelMisconfiguredError, "model_misconfigured"),
        (400, {"code": "unsupported_parameter"}, ModelMisconfiguredError, "model_misconfigured"),
        (400, {"code": "context_length_exceeded"}, ModelRefusedError, CONTEXT_TOO_LONG),
        (400, {"message": "This model's maximum context length is 8192"}, ModelRefusedError, CONTEXT_TOO_LONG),
        (413, {"message": "no"}, ModelRefusedError, CONTEXT_TOO_LONG),
        (422, {"message": "no"}, ModelRefusedError, "model_refused"),
        (308, {"message": "moved"}, ModelMisconfiguredError, "model_misconfigured"),
        (529, {"message": "overloaded"}, ModelUnavailableError, "model_unavailable"),
        (408, {"message": "slow"}, ModelUnavailableError, "model_unavailable"),
    ],
)
def test_what_servers_say_besides_the_status_counts(
    there: OpenAiOnLoopback, status: int, error: Any, kind: type[Exception], code: str
) -> None:
    there.follow(Reply(status=status, body=json.dumps({"error": error}).encode()))
    with pytest.raises(kind) as raised:
        there.ask(asking("x"))
    assert getattr(raised.value, "code", None) == code


@pytest.mark.parametrize("body", [b"", b"<html>bad gateway", b'{"detail": "no"}', b'{"error": "no"}', b"[1]", b"\xff"])
def test_an_error_may_have_any_body(there: OpenAiOnLoopback, body: bytes) -> None:
    there.follow(Reply(status=502, body=body))
    with pytest.raises(ModelUnavailableError):
        there.ask(asking("x"))


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b'"text"', b'{"choices":[null]}', b'{"choices":[{"message":{"content":3}}]}']
)
def test_an_answer_of_another_shape_is_none(there: OpenAiOnLoopback, body: bytes) -> None:
    there.follow(Reply(body=body))
    with pytest.raises(ModelUnavailableError):
        there.ask(asking("x"))


def test_milliseconds_are_a_wait_too(there: OpenAiOnLoopback) -> None:
    there.follow(Reply(status=429, headers={"retry-after-ms": "250", "Retry-After": "9"}))
    with pytest.raises(ModelThrottledError) as throttled:
        there.ask(asking("x"))
    assert throttled.value.retry_after_seconds == 0.25


def test_a_key_that_cannot_be_read_lets_another_model_serve(there: OpenAiOnLoopback) -> None:
    there.secrets.texts.clear()
    with pytest.raises(ModelMisconfiguredError) as missing:
        there.ask(asking("x"))
    assert missing.value.code == "model_secret"
    assert there.sent() == 0


@pytest.mark.parametrize("status", [400, 401])
def test_a_key_that_the_server_repeats_goes_nowhere(
    there: OpenAiOnLoopback, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    there.follow(there.failing(status, "not a key: sk-1"))
    with pytest.raises((ModelMisconfiguredError, ModelRefusedError)) as refused:
        there.ask(asking("x"))
    assert "sk-1" not in refused.value.message
    assert all("sk-1" not in str(record.__dict__) for record in caplog.records)


def test_a_key_that_was_changed_costs_one_request_more(made: Callable[..., OpenAiOnLoopback]) -> None:
    clock = ManualClock()
    there = made(clock=clock)
    there.ask(asking("x"))
    there.secrets.texts["key"] = "sk-2"
    clock.advance(60)
    there.follow(there.failing(401), Reply())
    assert there.ask(asking("x")).text == "1 words"
    assert [received.headers["authorization"] for received in there.server.received] == [
        "Bearer sk-1",
        "Bearer sk-1",
        "Bearer sk-2",
    ]


def test_an_answer_longer_than_any_is_none(there: OpenAiOnLoopback) -> None:
    there.follow(Reply(body=there.body(Answer("x" * 9_000_000))))
    with pytest.raises(ModelUnavailableError):
        there.ask(asking("x"))


def test_a_private_address_must_be_declared(there: OpenAiOnLoopback) -> None:
    with pytest.raises(InvalidUrlError):
        there._provider(f"{there.server.url}/v1", private=False)


def test_it_is_a_provider_for_the_type_checker(there: OpenAiOnLoopback) -> None:
    assert isinstance(there.provider, OpenAiCompatible)
