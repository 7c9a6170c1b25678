"""Routes as models of pydantic-ai, so that its agents' calls are protected, budgeted and counted like any other.

    agent = Agent(FlotillaModel(ctx.llm, route="fast"), output_type=Summary, tools=[…])
    result = await agent.run("…")

Each request of the agent is one call by the route. The model is made for one attempt of a task, as `ctx.llm` is: make
it where it is used, or give it to `agent.run(model=…)`. What a call raises passes through the agent; let it pass.

Needs pydantic-ai-slim, which the layer does not have: whoever uses it adds it to layers/dependencies/requirements.txt.
Text only: images and other files, tools that a provider runs itself, and streaming are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from flotilla.llm.client import Llm
from flotilla.llm.served import Served
from flotilla.llm_ports import Message, ModelRequest, OutputSchema, Role, StopReason, Tool, ToolCall, ToolResult

try:
    from pydantic_ai.exceptions import UserError
    from pydantic_ai.messages import (
        CachePoint,
        FinishReason,
        InstructionPart,
        ModelMessage,
        ModelRequestPart,
        ModelResponse,
        ModelResponsePart,
        SystemPromptPart,
        TextContent,
        TextPart,
        ThinkingPart,
        ToolCallPart,
        ToolReturnPart,
        UserPromptPart,
    )
    from pydantic_ai.messages import ModelRequest as AgentRequest
    from pydantic_ai.models import Model, ModelRequestParameters, check_allow_model_requests
    from pydantic_ai.profiles import ModelProfile
    from pydantic_ai.settings import ModelSettingName, ModelSettings
    from pydantic_ai.usage import RequestUsage
except ImportError as error:
    raise ImportError(
        "flotilla.llm.pydantic_ai needs pydantic-ai-slim: "
        "add it, and all that it needs, to layers/dependencies/requirements.txt"
    ) from error

_MAX_TOKENS = 1024

_FINISH_REASONS: dict[StopReason, FinishReason] = {
    StopReason.END: "stop",
    StopReason.TOOL_USE: "tool_call",
    StopReason.MAX_TOKENS: "length",
    StopReason.FILTERED: "content_filter",
}

_PROFILE = ModelProfile(
    supports_tools=True,
    supports_json_schema_output=True,
    # The form is the provider's business: it is held to by schema, tool or words, as the model that serves can be.
    default_structured_output_mode="native",
    supports_forced_tool_choice=False,
    supports_inline_system_prompts=False,
)


class FlotillaModel(Model[None]):
    """One route.

    Args:
        llm: The attempt's: `ctx.llm`.
        route: Name of the route.
        quality: Only models of at least this quality may serve.
        settings: Of what it says `max_tokens` (1,024 by default) and `temperature` are used.
    """

    unsupported_settings: ClassVar[frozenset[ModelSettingName]] = frozenset(
        {
            "citations",
            "extra_body",
            "extra_headers",
            "frequency_penalty",
            "logit_bias",
            "max_retries",
            "parallel_tool_calls",
            "presence_penalty",
            "seed",
            "service_tier",
            "stop_sequences",
            "timeout",
            "top_k",
            "top_p",
        }
    )

    def __init__(
        self, llm: Llm, route: str, *, quality: str | None = None, settings: ModelSettings | None = None
    ) -> None:
        super().__init__(settings=settings, profile=_PROFILE)
        self._llm = llm
        self._route = route
        self._quality = quality

    @property
    def model_name(self) -> str:
        """The route's name."""
        return self._route

    @property
    def system(self) -> str:
        """Who serves it."""
        return "flotilla"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Make one call by the route.

        Raises:
            UserError: The agent asks for what models here cannot do.
            FlotillaError: What `Llm.converse` raises.
        """
        check_allow_model_requests()
        settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        if parameters.native_tools:
            raise UserError("a Flotilla route has no tools that the provider runs itself")
        asked = ModelRequest(
            messages=tuple(_turns(messages)),
            system=_system(messages, self._get_instruction_parts(messages, parameters)),
            max_tokens=(settings or {}).get("max_tokens", _MAX_TOKENS),
            temperature=(settings or {}).get("temperature"),
            tools=tuple(
                Tool(tool.name, tool.description or "", tool.parameters_json_schema)
                for tool in parameters.declared_tool_defs.values()
            ),
            output=_output(parameters),
        )
        return _response(await self._llm.converse(self._route, asked, quality=self._quality))


def _output(parameters: ModelRequestParameters) -> OutputSchema | None:
    form = parameters.output_object
    if parameters.output_mode != "native" or form is None:
        return None
    return OutputSchema(form.name or "output", form.json_schema)


def _system(messages: Iterable[ModelMessage], instructions: Iterable[InstructionPart] | None) -> str | None:
    said = [
        part.content
        for message in messages
        if isinstance(message, AgentRequest)
        for part in message.parts
        if isinstance(part, SystemPromptPart)
    ]
    return "\n\n".join([*said, *(part.content for part in instructions or ())]) or None


def _turns(messages: Iterable[ModelMessage]) -> Iterator[Message]:
    for message in messages:
        if isinstance(message, AgentRequest):
            results = [part for part in message.parts if isinstance(part, ToolReturnPart)]
            text = "\n\n".join(text for part in message.parts for text in _texts(part))
            if text or results:
                yield Message(Role.USER, text, tool_results=tuple(_result(part) for part in results))
        else:
            yield _said(message.parts)


def _texts(part: ModelRequestPart) -> Iterator[str]:
    if isinstance(part, SystemPromptPart | ToolReturnPart):
        return
    if not isinstance(part, UserPromptPart):
        raise UserError(f"a Flotilla route cannot be told {type(part).__name__}")
    content = [part.content] if isinstance(part.content, str) else part.content
    for item in content:
        if isinstance(item, str | TextContent):
            yield item if isinstance(item, str) else item.content
        elif not isinstance(item, CachePoint):
            raise UserError(f"a Flotilla route takes text, not {type(item).__name__}")


def _result(part: ToolReturnPart) -> ToolResult:
    if part.files:
        raise UserError("a Flotilla route takes text from tools, not files")
    failed = part.outcome in ("failed", "retried")
    content: Any = part.model_response_object(wrap_if_error=False)
    if content.keys() == {"return_value"}:
        content = content["return_value"]
    return ToolResult(part.tool_call_id, content, failed=failed)


def _said(parts: Iterable[ModelResponsePart]) -> Message:
    texts: list[str] = []
    calls: list[ToolCall] = []
    for part in parts:
        if isinstance(part, TextPart):
            texts.append(part.content)
        elif isinstance(part, ToolCallPart):
            calls.append(ToolCall(part.tool_call_id, part.tool_name, part.args_as_dict()))
        elif not isinstance(part, ThinkingPart):  # which is another model's own, and for nobody else
            raise UserError(f"a Flotilla route cannot be told {type(part).__name__}")
    return Message(Role.ASSISTANT, "\n\n".join(texts), tool_calls=tuple(calls))


def _response(served: Served) -> ModelResponse:
    reply = served.reply
    parts: list[ModelResponsePart] = [TextPart(reply.text)] if reply.text else []
    parts.extend(ToolCallPart(call.name, dict(call.input), tool_call_id=call.id) for call in reply.tool_calls)
    return ModelResponse(
        parts=parts,
        usage=RequestUsage(
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            cache_read_tokens=reply.cached_input_tokens,
        ),
        model_name=served.served,
        provider_name="flotilla",
        finish_reason=_FINISH_REASONS[reply.stop_reason],
        provider_details={"requested": served.requested, "cost_micros": served.cost_micros},
    )
