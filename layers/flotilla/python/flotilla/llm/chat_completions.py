"""OpenAI's chat completions as many servers speak them: requests, answers and errors, as JSON. Pure.

Servers differ in what they take and leave out. What is sent is the part that all know; of what comes nothing is
expected but an answer, and what is missing is taken for its usual value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flotilla.errors import FlotillaError
from flotilla.integration_ports import HttpAnswer
from flotilla.llm_ports import (
    CONTEXT_TOO_LONG,
    Message,
    ModelMisconfiguredError,
    ModelRefusedError,
    ModelReply,
    ModelRequest,
    ModelThrottledError,
    ModelUnavailableError,
    OutputSchema,
    Role,
    StopReason,
    ToolCall,
    ToolResult,
)
from flotilla.primitives.json_schema import closed, instructions
from flotilla.primitives.webhook_retry import retry_after_seconds

Structured = Literal["schema", "json", "prompt"]
MaxTokensMember = Literal["max_tokens", "max_completion_tokens"]

_STOP_REASONS = {
    "length": StopReason.MAX_TOKENS,
    "content_filter": StopReason.FILTERED,
    "tool_calls": StopReason.TOOL_USE,
    "function_call": StopReason.TOOL_USE,
}

_UNPAID = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_OF_THE_MODEL = frozenset({"model_not_found", "invalid_model", "unsupported_parameter", "unsupported_value"})
_TOO_LONG = re.compile(
    r"context (length|window|size)|maximum context|too long|too many (input |prompt )?tokens|"
    r"reduce the length|exceed_context_size",
    re.IGNORECASE,
)
_CHARACTERS = 500
_BYTES_PER_TOKEN = 4
_MODEL_NAME = re.compile(r"[\w.:/@+-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as a server tells it.

    Attributes:
        status: Of the answer, or what an answer that looked well says its status is.
        code: What the server calls it; empty where it does not say.
        said: Its words.
    """

    status: int
    code: str
    said: str


class NoAnswerInsideError(Exception):
    """It is no chat completion."""


def body_of(
    model_id: str, request: ModelRequest, structured: Structured, max_tokens_member: MaxTokensMember
) -> dict[str, Any]:
    """What to send."""
    form, words = _form(request.output, structured)
    system = "\n\n".join(text for text in (request.system, words) if text and text.strip())
    messages = [{"role": "system", "content": system}] if system else []
    messages += [each for message in request.messages for each in _messages(message)]
    body: dict[str, Any] = {
        "model": model_id,
        "messages": messages,
        max_tokens_member: request.max_tokens,
        "stream": False,
    }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.input_schema)},
            }
            for tool in request.tools
        ]
    if form is not None:
        body["response_format"] = form
    return body


def _form(output: OutputSchema | None, structured: Structured) -> tuple[dict[str, Any] | None, str | None]:
    """`response_format`, and what is said in words."""
    if output is None:
        return None, None
    if structured != "schema":
        # Who knows JSON but no schemas wants to be told of JSON in words, too.
        return {"type": "json_object"} if structured == "json" else None, instructions(output.schema)
    strict = closed(output.schema)
    schema = dict(output.schema) if strict is None else strict
    definition = {"name": output.name, "schema": schema, "strict": strict is not None}
    return {"type": "json_schema", "json_schema": definition}, None


def _messages(message: Message) -> Iterator[dict[str, Any]]:
    if message.role is Role.ASSISTANT:
        said: dict[str, Any] = {"role": "assistant", "content": message.text or None}
        if message.tool_calls:
            said["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
        elif not message.text:
            return
        yield said
        return
    for result in message.tool_results:
        yield {"role": "tool", "tool_call_id": result.id, "content": _content(result)}
    if message.text or not message.tool_results:
        yield {"role": "user", "content": message.text}


def _tool_call(call: ToolCall) -> dict[str, Any]:
    arguments = json.dumps(call.input, ensure_ascii=False)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _content(result: ToolResult) -> str:
    content = {"error": result.content} if result.failed else result.content
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def reply_of(answer: HttpAnswer, asked_bytes: int) -> ModelReply | Failure:
    """What a 200 says: an answer, or after all an error.

    Args:
        answer: The answer.
        asked_bytes: Length of the request. Servers that do not count tokens are taken to have used one for each four
            bytes: what is limited and budgeted must not seem to be free.

    Raises:
        NoAnswerInsideError: It says neither.
    """
    value = _json(answer.body)
    if not isinstance(value, dict):
        raise NoAnswerInsideError
    if value.get("error"):
        return failure_of(answer)
    try:
        choice = value["choices"][0]
        message = choice["message"]
        reason = choice.get("finish_reason")
        text = _text(message.get("content"))
        stop_reason = _STOP_REASONS.get(reason, StopReason.END)
        calls = tuple(_tool_calls(message.get("tool_calls") or (), cut=stop_reason is StopReason.MAX_TOKENS))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise NoAnswerInsideError from error
    if reason == "error":
        return Failure(502, "", "the answer ended in an error")
    if message.get("refusal"):
        text, stop_reason = str(message["refusal"]), StopReason.FILTERED
    if calls and stop_reason is StopReason.END:
        stop_reason = StopReason.TOOL_USE  # some say that they stopped
    elif not calls and stop_reason is StopReason.TOOL_USE:
        stop_reason = StopReason.END
    input_tokens, output_tokens, cached = _usage(value.get("usage"), asked_bytes, text)
    return ModelReply(
        text=text,
        tool_calls=calls,
        stop_reason=stop_reason,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_input_tokens=cached,
        model=_model(value.get("model")),
    )


def _model(name: Any) -> str | None:
    """Who says that it answered; it goes into logs."""
    return name if isinstance(name, str) and _MODEL_NAME.fullmatch(name) else None


def _text(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.get("text", "") for part in content if part.get("type", "text") in ("text", "output_text"))


def _tool_calls(given: Sequence[Mapping[str, Any]], *, cut: bool) -> Iterator[ToolCall]:
    for position, each in enumerate(given):
        function = each["function"]
        try:
            found = function.get("arguments") or {}
            found = json.loads(found) if isinstance(found, str) else found
            if not isinstance(found, dict):
                raise ValueError("the input of a tool is an object")
        except (ValueError, RecursionError):
            if cut:
                continue  # that is where it was cut off
            raise
        yield ToolCall(str(each.get("id") or f"call_{position}"), str(function["name"]), found)


def _usage(usage: Any, asked_bytes: int, text: str) -> tuple[int, int, int]:
    if not isinstance(usage, dict) or not isinstance(usage.get("prompt_tokens"), int):
        return _tokens(asked_bytes), _tokens(len(text.encode())), 0
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else usage.get("prompt_cache_hit_tokens")
    answered = usage.get("completion_tokens")
    return (
        usage["prompt_tokens"],
        answered if isinstance(answered, int) else _tokens(len(text.encode())),
        cached if isinstance(cached, int) else 0,
    )


def _tokens(length: int) -> int:
    return -(-length // _BYTES_PER_TOKEN)


def failure_of(answer: HttpAnswer) -> Failure:
    """The error that an answer tells of."""
    value = _json(answer.body)
    error = value.get("error", value) if isinstance(value, dict) else None
    status = answer.status if answer.status != 200 else 502
    if isinstance(error, str):
        return Failure(status, "", error)
    if not isinstance(error, dict):
        return Failure(status, "", answer.body[:_CHARACTERS].decode("utf-8", "replace"))
    code, kind = error.get("code"), error.get("type")
    if answer.status == 200 and isinstance(code, int) and 400 <= code < 600:
        status = code
    named = code if isinstance(code, str) else kind if isinstance(kind, str) else ""
    return Failure(status, named, str(error.get("message", "")))


def error_of(model_id: str, failure: Failure, answer: HttpAnswer, now_ms: int) -> FlotillaError:
    """The error to raise.

    429, 498                          throttled, unless what there is to spend is spent
    408, 409, 425, 5xx                unavailable
    400, 413, 422                     refused; misconfigured, where it is the model that cannot do this
    401, 402, 403, 404 and the rest   misconfigured
    """
    status = failure.status
    wait = _wait_seconds(answer, now_ms)
    if failure.code in _UNPAID:
        return _misconfigured(model_id, failure)
    if status in (429, 498):
        return ModelThrottledError(f"{model_id} wants fewer requests", retry_after_seconds=wait)
    if status in (408, 409, 425) or status >= 500:
        return ModelUnavailableError(f"{model_id} failed ({status})", retry_after_seconds=wait)
    if status not in (400, 413, 422) or failure.code in _OF_THE_MODEL:
        return _misconfigured(model_id, failure)
    said = failure.said[:_CHARACTERS]
    if status == 413 or failure.code == "context_length_exceeded" or _TOO_LONG.search(f"{failure.code} {failure.said}"):
        return ModelRefusedError(f"{model_id}: {said}", code=CONTEXT_TOO_LONG)
    return ModelRefusedError(f"{model_id} refused the request: {said}")


def _misconfigured(model_id: str, failure: Failure) -> ModelMisconfiguredError:
    return ModelMisconfiguredError(f"{model_id} cannot be used ({failure.code or failure.status})")


def _wait_seconds(answer: HttpAnswer, now_ms: int) -> float | None:
    milliseconds = answer.header("retry-after-ms") or ""
    if milliseconds.isascii() and milliseconds.isdigit() and len(milliseconds) <= 9:
        return int(milliseconds) / 1000
    return retry_after_seconds(answer.header("retry-after"), now_ms)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
