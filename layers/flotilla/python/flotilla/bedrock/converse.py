"""Models on Amazon Bedrock, by its Converse operation.

Each request is one call: the client tries once, and what failed is told apart by what a caller can do about it (see
`flotilla.bedrock.failures`). A call ends when its time is up, whatever the other side does; the thread that waits for
the answer is free again a little later, when the connection's own timeout ends, and the answer is charged for all the
same.

A form for the answer is asked for in the way that the model knows:

    schema   `outputConfig`: decoding is constrained. A schema that cannot be said that way is asked for in words.
    tool     a tool with the form as its input, which the model is made to call
    prompt   words
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from flotilla.bedrock.failures import failure
from flotilla.clock import Clock
from flotilla.llm_ports import (
    Message,
    ModelReply,
    ModelRequest,
    ModelUnavailableError,
    OutputSchema,
    Role,
    StopReason,
    Tool,
    ToolCall,
    ToolResult,
)
from flotilla.ports import RunSync
from flotilla.primitives.json_schema import closed, instructions

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

Structured = Literal["schema", "tool", "prompt"]

_BY_FAMILY: tuple[tuple[str, Structured], ...] = (
    ("amazon.nova", "tool"),
    ("anthropic.claude-3", "tool"),
    ("anthropic.claude-opus-4-1", "tool"),
    ("anthropic.claude-opus-4-20", "tool"),
    ("anthropic.claude-sonnet-4-20", "tool"),
    ("cohere.", "tool"),
    ("ai21.", "prompt"),
    ("amazon.titan", "prompt"),
    ("anthropic.claude-fable-5", "prompt"),
    ("deepseek.r1", "prompt"),
    ("meta.llama", "prompt"),
    ("mistral.mistral-7b", "prompt"),
    ("mistral.mistral-large-24", "prompt"),
    ("mistral.mistral-small", "prompt"),
    ("mistral.mixtral", "prompt"),
    ("mistral.pixtral", "prompt"),
    ("writer.", "prompt"),
    ("xai.", "prompt"),
    ("zai.", "prompt"),
)
"""Models that know no `outputConfig`, by what is in their ids, and what they know instead."""

_KNOW_OF_FAILED_RESULTS = ("anthropic.claude", "amazon.nova")

_TOOL_USE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

_STOP_REASONS = {
    "end_turn": StopReason.END,
    "stop_sequence": StopReason.END,
    "tool_use": StopReason.TOOL_USE,
    "max_tokens": StopReason.MAX_TOKENS,
    "model_context_window_exceeded": StopReason.MAX_TOKENS,
    "guardrail_intervened": StopReason.FILTERED,
    "content_filtered": StopReason.FILTERED,
}


class BedrockModels:
    """`ModelProvider` over Bedrock's Converse.

    Args:
        client: Makes (or returns the cached) client that waits for an answer for at least so many seconds.
        run_sync: Runs its calls. Each holds a thread for as long as the model thinks, so give them threads of their
            own: they must not keep other calls to AWS waiting.
        clock: Tells what a date in `Retry-After` means.
        structured: How the models are held to a form; None: as those of their family can be.
    """

    def __init__(
        self,
        client: Callable[[float], BedrockRuntimeClient],
        run_sync: RunSync,
        clock: Clock,
        structured: Structured | None = None,
    ) -> None:
        self._client = client
        self._run_sync = run_sync
        self._clock = clock
        self._structured = structured

    async def converse(self, model_id: str, request: ModelRequest, *, timeout_ms: int) -> ModelReply:
        """See `ModelProvider.converse`."""
        form = _form(request, self._structured or structured_by_family(model_id))
        parameters = _parameters(model_id, request, form)
        timeout = asyncio.timeout(timeout_ms / 1000)
        try:
            async with timeout:
                answer = await self._run_sync(self._call, parameters, timeout_ms / 1000)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            message = f"{model_id} did not answer within {timeout_ms / 1000:g} s"
            raise ModelUnavailableError(message, code="model_timeout") from error
        return _reply(model_id, answer, form)

    def _call(self, parameters: dict[str, Any], seconds: float) -> Mapping[str, Any]:
        try:
            return self._client(seconds).converse(**parameters)
        except (ClientError, BotoCoreError, ResponseParserError) as error:
            raise failure(parameters["modelId"], error, self._clock.now_ms()) from error


def structured_by_family(model_id: str) -> Structured:
    """How a model can be held to a form, by its id; an id that does not tell is taken for a current model's."""
    return next((way for part, way in _BY_FAMILY if part in model_id), "schema")


@dataclass(frozen=True, slots=True)
class _Form:
    """How the form of one answer is asked for.

    Attributes:
        tool: The tool that stands for it.
        config: What constrains decoding.
        words: What says it.
    """

    tool: Tool | None = None
    config: dict[str, Any] | None = None
    words: str | None = None


def _form(request: ModelRequest, structured: Structured) -> _Form:
    output = request.output
    if output is None:
        return _Form()
    if structured == "tool":
        name = _free_name(output, request.tools)
        return _Form(tool=Tool(name, "Gives the answer. Call it once.", output.schema))
    constraint = closed(output.schema) if structured == "schema" else None
    if constraint is None:
        return _Form(words=instructions(output.schema))
    definition = {"name": output.name, "schema": json.dumps(constraint)}
    return _Form(config={"textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}})


def _free_name(output: OutputSchema, tools: Sequence[Tool]) -> str:
    taken = {tool.name for tool in tools}
    return output.name if output.name not in taken else f"{output.name[:57]}_answer"


def _parameters(model_id: str, request: ModelRequest, form: _Form) -> dict[str, Any]:
    inference: dict[str, Any] = {"maxTokens": request.max_tokens}
    if request.temperature is not None:
        inference["temperature"] = request.temperature
    parameters: dict[str, Any] = {
        "modelId": model_id,
        "messages": _messages(model_id, request.messages),
        "inferenceConfig": inference,
    }
    system = [{"text": text} for text in (request.system, form.words) if text and text.strip()]
    if system:
        parameters["system"] = system
    if tools := _tools(request, form):
        parameters["toolConfig"] = tools
    if form.config is not None:
        parameters["outputConfig"] = form.config
    return parameters


def _messages(model_id: str, messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Turns that alternate, none of them empty: Converse takes no others."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        blocks = _blocks(model_id, message)
        if turns and turns[-1]["role"] == message.role.value:
            turns[-1]["content"].extend(blocks)
        elif blocks:
            turns.append({"role": message.role.value, "content": blocks})
    return turns


def _blocks(model_id: str, message: Message) -> list[dict[str, Any]]:
    text = [{"text": message.text}] if message.text.strip() else []
    if message.role is Role.ASSISTANT:
        return [*text, *({"toolUse": _tool_use(call)} for call in message.tool_calls)]
    # Results come first: they answer the turn before.
    return [*({"toolResult": _tool_result(model_id, result)} for result in message.tool_results), *text]


def _tool_use(call: ToolCall) -> dict[str, Any]:
    return {"toolUseId": _tool_use_id(call.id), "name": call.name, "input": dict(call.input)}


def _tool_result(model_id: str, result: ToolResult) -> dict[str, Any]:
    found: dict[str, Any] = {"toolUseId": _tool_use_id(result.id)}
    content = result.content
    if result.failed:
        if any(family in model_id for family in _KNOW_OF_FAILED_RESULTS):
            found["status"] = "error"
        else:
            content = {"error": content}
    if isinstance(content, str) and content.strip():
        found["content"] = [{"text": content}]
    else:
        found["content"] = [{"json": content if isinstance(content, dict) else {"result": content}}]
    return found


def _tool_use_id(given: str) -> str:
    """The id, or where another provider's is none here, one made of it: a conversation may go on with another model."""
    return given if _TOOL_USE_ID.fullmatch(given) else hashlib.sha256(given.encode()).hexdigest()[:32]


def _tools(request: ModelRequest, form: _Form) -> dict[str, Any] | None:
    tools = list(request.tools)
    # A conversation with calls of tools is refused without any that are declared.
    named = {tool.name for tool in tools}
    called = {call.name: call for message in request.messages for call in message.tool_calls if call.name not in named}
    tools.extend(Tool(name, "Not available any more.", {"type": "object"}) for name in called)
    if form.tool is None:
        return {"tools": [_tool(tool) for tool in tools]} if tools else None
    choice = {"any": {}} if request.tools else {"tool": {"name": form.tool.name}}
    return {"tools": [_tool(tool) for tool in (*tools, form.tool)], "toolChoice": choice}


def _tool(tool: Tool) -> dict[str, Any]:
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": dict(tool.input_schema)}}
    if tool.description.strip():
        spec["description"] = tool.description
    return {"toolSpec": spec}


def _reply(model_id: str, answer: Mapping[str, Any], form: _Form) -> ModelReply:
    try:
        stop_reason = _STOP_REASONS.get(answer["stopReason"])
        blocks = answer["output"]["message"]["content"]
        usage = answer["usage"]
        read, written = usage.get("cacheReadInputTokens") or 0, usage.get("cacheWriteInputTokens") or 0
        input_tokens = usage["inputTokens"] + read + written  # of which it counts neither
        output_tokens = usage["outputTokens"]
        text = "".join(_text(block) for block in blocks)
        uses = [block["toolUse"] for block in blocks if "toolUse" in block and "type" not in block["toolUse"]]
        calls = [ToolCall(use["toolUseId"], use["name"], _input(use.get("input"))) for use in uses]
    except (KeyError, TypeError, AttributeError) as error:
        raise _unusable(model_id) from error
    if stop_reason is None:
        # Malformed, it says itself; or a reason that we do not know, and so do not know what is in the answer.
        raise _unusable(model_id)
    if form.tool is not None and (given := [call for call in calls if call.name == form.tool.name]):
        text = json.dumps(given[0].input, ensure_ascii=False)
        calls = [call for call in calls if call.name != form.tool.name]
        if stop_reason is StopReason.TOOL_USE and not calls:
            stop_reason = StopReason.END
    return ModelReply(
        text=text,
        tool_calls=tuple(calls),
        stop_reason=stop_reason,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_input_tokens=read,
    )


def _text(block: Mapping[str, Any]) -> str:
    cited = block.get("citationsContent")
    if cited is not None:
        return "".join(part.get("text", "") for part in cited.get("content", ()))
    text: str = block.get("text", "")
    return text


def _input(given: Any) -> Mapping[str, Any]:
    if given is None or isinstance(given, Mapping):
        return given or {}
    raise TypeError("the input of a tool is an object")


def _unusable(model_id: str) -> ModelUnavailableError:
    return ModelUnavailableError(f"{model_id} gave an answer that is none", code="model_answer_invalid")
