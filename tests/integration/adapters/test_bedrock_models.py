"""Bedrock as the embedded engine has it: what the provider asks is taken, and what comes back is read."""

from __future__ import annotations

import asyncio

import boto3
import pytest

from flotilla.bedrock.converse import BedrockModels, Structured
from flotilla.clock import SystemClock
from flotilla.llm_ports import Message, ModelRequest, Role, StopReason, ToolCall, ToolResult
from tests.contracts.model_provider import SUMMARY, WEATHER, asking
from tests.fakes import run_on_thread
from tests.integration.adapters.conftest import ONCE
from tests.synthesis import ACCOUNT, REGION

TALK = [
    Message(Role.USER, "go"),
    Message(Role.ASSISTANT, tool_calls=[ToolCall("call_1", "weather", {"city": "Ulm"})]),
    Message(Role.USER, tool_results=[ToolResult("call_1", {"sky": "blue"})]),
]


@pytest.mark.parametrize("structured", ["schema", "tool", "prompt"])
@pytest.mark.parametrize(
    "request_",
    [asking("hello", system="be brief"), asking("hello", output=SUMMARY), ModelRequest(messages=TALK, tools=[WEATHER])],
)
def test_the_engine_answers(bare_engine_url: str, structured: Structured, request_: ModelRequest) -> None:
    session = boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key="testing", region_name=REGION)
    client = session.client("bedrock-runtime", endpoint_url=bare_engine_url, config=ONCE)
    models = BedrockModels(lambda seconds: client, run_on_thread, SystemClock(), structured)
    reply = asyncio.run(models.converse("anthropic.claude-haiku-4-5-20251001-v1:0", request_, timeout_ms=20_000))
    assert reply.text
    assert reply.stop_reason is StopReason.END
    assert reply.output_tokens > 0
