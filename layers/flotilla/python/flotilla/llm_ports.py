"""What calls to language models are made of, and what they need from the world: somebody who serves a model.

One request in one form for all providers; what a provider cannot do is refused by it, never left out silently. A
request is made once: whether it is repeated, or another model asked, is decided above.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from flotilla.errors import PermanentError, RetryableError


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may ask for.

    Attributes:
        input_schema: JSON Schema of its input, an object.
    """

    name: str
    description: str
    input_schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool."""

    id: str
    name: str
    input: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered.

    Attributes:
        id: Of the call.
        content: Text, or any JSON value.
        failed: It is an error, for the model to deal with.
    """

    id: str
    content: Any
    failed: bool = False


class Role(StrEnum):
    """Who speaks."""

    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; tool calls are the assistant's, tool results the user's."""

    role: Role
    text: str = ""
    tool_calls: Sequence[ToolCall] = ()
    tool_results: Sequence[ToolResult] = ()


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """The form that an answer must have.

    Attributes:
        name: Letters, digits, `_` and `-`, at most 64.
        schema: JSON Schema of an object.
    """

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One request to a model.

    Attributes:
        system: Instructions, apart from the conversation.
        max_tokens: The longest answer.
        output: The form that the answer must have; None for text.
    """

    messages: Sequence[Message]
    system: str | None = None
    max_tokens: int = 1024
    temperature: float | None = None
    tools: Sequence[Tool] = ()
    output: OutputSchema | None = None


class StopReason(StrEnum):
    """Why an answer ends."""

    END = "end"
    TOOL_USE = "tool_use"
    MAX_TOKENS = "max_tokens"
    FILTERED = "filtered"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReply:
    """One answer.

    Attributes:
        text: What it says; where a form was asked for, the JSON text of it, unchecked.
        cached_input_tokens: Those of `input_tokens` that the provider had kept from before.
        model: Which one answered, as the provider calls it; None where it does not say.
    """

    text: str
    tool_calls: Sequence[ToolCall] = ()
    stop_reason: StopReason = StopReason.END
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    model: str | None = None


class ModelThrottledError(RetryableError):
    """The provider wants fewer requests or tokens. Nothing was made."""

    default_code = "model_throttled"


class ModelUnavailableError(RetryableError):
    """The provider failed, or did not answer in time. It may have made, and may charge for, an answer."""

    default_code = "model_unavailable"


class ModelMisconfiguredError(RetryableError):
    """The provider does not let us: no access to the model, a wrong key, no such model. Another model may serve."""

    default_code = "model_misconfigured"


CONTEXT_TOO_LONG = "model_context_too_long"
"""Code of a `ModelRefusedError`: a model with a longer context may take the request."""


class ModelRefusedError(PermanentError):
    """The provider says that the request itself is wrong; no model (but see the code) and no repetition can help."""

    default_code = "model_refused"


class ModelProvider(Protocol):
    """Serves models."""

    async def converse(self, model_id: str, request: ModelRequest, *, timeout_ms: int) -> ModelReply:
        """Make one request.

        Args:
            model_id: As the provider calls it.
            request: What is asked.
            timeout_ms: The longest it may take in all.

        Raises:
            ModelThrottledError: Later, at the earliest after `retry_after_seconds` where it has one.
            ModelUnavailableError: The provider is not well.
            ModelMisconfiguredError: We may not.
            ModelRefusedError: The request is wrong.
        """
        ...
