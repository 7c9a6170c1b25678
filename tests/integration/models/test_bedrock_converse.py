"""The Bedrock provider, a real botocore client and real sockets: it keeps the contract; errors are what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError
from botocore.session import get_session

from benchmarks.fault_lab.script import Reply
from benchmarks.fault_lab.scripted_model import Answer
from flotilla.bedrock.converse import BedrockModels, structured_by_family
from flotilla.bedrock.failures import failure
from flotilla.clock import SystemClock
from flotilla.errors import PermanentError
from flotilla.llm_ports import (
    CONTEXT_TOO_LONG,
    Message,
    ModelMisconfiguredError,
    ModelRefusedError,
    ModelRequest,
    ModelThrottledError,
    ModelUnavailableError,
    Role,
    StopReason,
    ToolCall,
    ToolResult,
)
from flotilla.runtime import clients
from tests.contracts.model_provider import OPEN, SUMMARY, WEATHER, ModelProviderContract, asking
from tests.fakes import run_on_thread
from tests.integration.models.serving import BedrockOnLoopback, on_loopback


@pytest.fixture
def made() -> Iterator[Callable[..., BedrockOnLoopback]]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(on_loopback(partial(BedrockOnLoopback, **options)))


class TestBedrockModels(ModelProviderContract):
    @pytest.fixture(params=["schema", "tool", "prompt"])
    def serving(
        self, made: Callable[..., BedrockOnLoopback], request: pytest.FixtureRequest
    ) -> Callable[[], BedrockOnLoopback]:
        return partial(made, structured=request.param)


@pytest.fixture
def there(made: Callable[..., BedrockOnLoopback]) -> BedrockOnLoopback:
    return made()


def test_turns_alternate_and_none_is_empty(there: BedrockOnLoopback) -> None:
    talk = [
        Message(Role.USER, "one"),
        Message(Role.USER, "two"),
        Message(Role.ASSISTANT, "  "),
        Message(Role.USER, "three"),
        Message(Role.ASSISTANT, "four", tool_calls=[ToolCall("a", "weather", {"city": "x"})]),
        Message(Role.USER, "five", tool_results=[ToolResult("a", "fine")]),
    ]
    there.ask(ModelRequest(messages=talk, system=" ", tools=[WEATHER], temperature=0.5))
    (body,) = there.received
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "one"}, {"text": "two"}, {"text": "three"}]},
        {
            "role": "assistant",
            "content": [
                {"text": "four"},
                {"toolUse": {"toolUseId": "a", "name": "weather", "input": {"city": "x"}}},
            ],
        },
        {
            "role": "user",
            "content": [{"toolResult": {"toolUseId": "a", "content": [{"text": "fine"}]}}, {"text": "five"}],
        },
    ]
    assert "system" not in body
    assert body["inferenceConfig"] == {"maxTokens": 1024, "temperature": 0.5}
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["weather"]


def test_a_failed_result_is_marked_for_models_that_know_of_it(there: BedrockOnLoopback) -> None:
    talk = [
        Message(Role.USER, "go"),
        Message(Role.ASSISTANT, tool_calls=[ToolCall("a", "weather", {})]),
        Message(Role.USER, tool_results=[ToolResult("a", "no", failed=True)]),
    ]
    for model_id in ("eu.anthropic.claude-haiku-4-5", "us.meta.llama4"):
        there.run(there.provider.converse(model_id, ModelRequest(messages=talk), timeout_ms=5000))
    known, told = (body["messages"][-1]["content"][0]["toolResult"] for body in there.received)
    assert (known["status"], known["content"]) == ("error", [{"text": "no"}])
    assert ("status" in told, told["content"]) == (False, [{"json": {"error": "no"}}])


def test_a_form_is_asked_for_as_the_model_can_be(made: Callable[..., BedrockOnLoopback]) -> None:
    for structured, members in (
        ("schema", {"outputConfig"}),
        ("tool", {"toolConfig"}),
        ("prompt", {"system"}),
    ):
        there = made(structured=structured)
        there.ask(asking("x", output=SUMMARY))
        (body,) = there.received
        assert members == body.keys() & {"outputConfig", "toolConfig", "system"}
    there = made(structured="tool")
    there.ask(asking("x", output=SUMMARY))
    there.ask(asking("x", output=SUMMARY, tools=[WEATHER]))
    assert [body["toolConfig"]["toolChoice"] for body in there.received] == [{"tool": {"name": "Summary"}}, {"any": {}}]
    there = made(structured="schema")
    there.ask(asking("x", output=OPEN))
    assert "outputConfig" not in there.received[0]


@pytest.mark.parametrize(
    ("model_id", "structured"),
    [
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", "schema"),
        ("anthropic.claude-3-5-sonnet-20240620-v1:0", "tool"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "tool"),
        ("amazon.nova-micro-v1:0", "tool"),
        ("us.meta.llama3-3-70b-instruct-v1:0", "prompt"),
        ("arn:aws:bedrock:eu-central-1:1:application-inference-profile/x", "schema"),
    ],
)
def test_older_families_know_older_ways(model_id: str, structured: str) -> None:
    assert structured_by_family(model_id) == structured


def test_a_tool_of_the_forms_name_is_another_tool(made: Callable[..., BedrockOnLoopback]) -> None:
    from dataclasses import replace

    there = made(structured="tool")
    reply = there.ask(asking("Summary", output=SUMMARY, tools=[replace(WEATHER, name="Summary")]))
    assert [call.name for call in reply.tool_calls] == ["Summary"]
    assert reply.stop_reason is StopReason.TOOL_USE


@pytest.mark.parametrize("stop", ["malformed_model_output", "malformed_tool_use", "something_new"])
def test_an_answer_that_the_provider_calls_malformed_is_none(there: BedrockOnLoopback, stop: str) -> None:
    body = there.body(Answer("x")).replace(b'"end_turn"', f'"{stop}"'.encode())
    there.follow(Reply(body=body))
    with pytest.raises(ModelUnavailableError) as failed:
        there.ask(asking("x"))
    assert failed.value.code == "model_answer_invalid"


def test_what_a_model_thinks_and_what_it_cites_are_told_apart(there: BedrockOnLoopback) -> None:
    body = (
        b'{"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"hm"}}},'
        b'{"citationsContent":{"content":[{"text":"so "}]}},{"text":"it is"}]}},"stopReason":"end_turn",'
        b'"usage":{"inputTokens":3,"outputTokens":4,"totalTokens":9,"cacheReadInputTokens":1,"cacheWriteInputTokens":2}}'
    )
    there.follow(Reply(body=body))
    reply = there.ask(asking("x"))
    assert (reply.text, reply.input_tokens, reply.cached_input_tokens) == ("so it is", 6, 1)


EXCEPTIONS = {
    "AccessDeniedException": (403, ModelMisconfiguredError),
    "InternalServerException": (500, ModelUnavailableError),
    "ModelErrorException": (424, ModelUnavailableError),
    "ModelNotReadyException": (429, ModelUnavailableError),
    "ModelTimeoutException": (408, ModelUnavailableError),
    "ResourceNotFoundException": (404, ModelMisconfiguredError),
    "ServiceUnavailableException": (503, ModelUnavailableError),
    "ThrottlingException": (429, ModelThrottledError),
    "ValidationException": (400, ModelRefusedError),
}


def test_every_error_that_converse_declares_is_known() -> None:
    declared = get_session().get_service_model("bedrock-runtime").operation_model("Converse").error_shapes
    assert {shape.name for shape in declared} == EXCEPTIONS.keys()


@pytest.mark.parametrize("name", [*EXCEPTIONS, "ServiceQuotaExceededException", "UnrecognizedClientException", "New"])
def test_every_error_means_something_to_the_caller(there: BedrockOnLoopback, name: str) -> None:
    others = {
        "ServiceQuotaExceededException": (400, ModelThrottledError),
        "UnrecognizedClientException": (403, ModelMisconfiguredError),
        "New": (400, ModelRefusedError),
    }
    status, kind = (EXCEPTIONS | others)[name]
    there.follow(Reply(status=status, headers={"x-amzn-ErrorType": name}, body=b'{"message":"as told"}'))
    with pytest.raises(kind):
        there.ask(asking("x"))


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        ("Input is too long for requested model.", ModelRefusedError, CONTEXT_TOO_LONG),
        ("The model returned the following errors: prompt is too long: 2 > 1", ModelRefusedError, CONTEXT_TOO_LONG),
        ("Malformed input request: #: extraneous key", ModelRefusedError, "model_refused"),
        ("The provided model identifier is invalid.", ModelMisconfiguredError, "model_misconfigured"),
        (
            "Invocation of model ID x with on-demand throughput isn\u2019t supported.",
            ModelMisconfiguredError,
            "model_misconfigured",
        ),
        ("This model doesn't support tool use.", ModelMisconfiguredError, "model_misconfigured"),
        ("Operation not allowed", ModelMisconfiguredError, "model_misconfigured"),
        ("The compiled grammar is too large", ModelMisconfiguredError, "model_misconfigured"),
        ("outputConfig.textFormat: unknown field", ModelMisconfiguredError, "model_misconfigured"),
        (
            "The maximum tokens you requested exceeds the model limit of 8192.",
            ModelMisconfiguredError,
            "model_misconfigured",
        ),
    ],
)
def test_a_validation_error_may_be_the_models(
    there: BedrockOnLoopback, said: str, kind: type[Exception], code: str
) -> None:
    there.follow(there.failing(400, said))
    with pytest.raises(kind) as raised:
        there.ask(asking("x"))
    assert getattr(raised.value, "code", None) == code


def test_who_has_used_up_a_day_waits_longer(there: BedrockOnLoopback) -> None:
    there.follow(there.failing(429, "Too many tokens per day, please wait before trying again."))
    with pytest.raises(ModelThrottledError) as throttled:
        there.ask(asking("x"))
    assert throttled.value.retry_after_seconds == 300.0


def test_without_credentials_another_provider_may_serve() -> None:
    assert isinstance(failure("m", NoCredentialsError(), 0), ModelMisconfiguredError)


def test_a_mistake_of_ours_is_not_taken_for_the_providers(there: BedrockOnLoopback) -> None:
    def broken(seconds: float) -> Any:
        raise ZeroDivisionError

    provider = BedrockModels(broken, run_on_thread, SystemClock())
    with pytest.raises(ZeroDivisionError):
        there.run(provider.converse("m", asking("x"), timeout_ms=5000))


def test_the_processs_clients_try_once_and_wait_as_long_as_is_asked(
    there: BedrockOnLoopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": there.server.url,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    clients._made.cache_clear()
    clients._session.cache_clear()
    try:
        waits = [clients.bedrock_runtime(seconds).meta.config.read_timeout for seconds in (0.2, 5, 12, 61, 5000)]
        assert waits == [5.0, 5.0, 20.0, 180.0, 900.0]
        assert clients.bedrock_runtime(1) is clients.bedrock_runtime(3)
        provider = BedrockModels(clients.bedrock_runtime, run_on_thread, SystemClock())
        there.follow(there.failing(500))
        with pytest.raises(ModelUnavailableError):
            there.run(provider.converse("m", asking("x"), timeout_ms=5000))
        assert there.sent() == 1
    finally:
        clients._made.cache_clear()
        clients._session.cache_clear()


def test_nothing_asked_is_refused_before_it_is_sent(there: BedrockOnLoopback) -> None:
    there.follow(there.failing(400, "messages: at least one"))
    with pytest.raises(PermanentError):
        there.ask(ModelRequest(messages=[]))
