"""Tools: functions of the agent's that a model may have called on its way to an answer.

    request ─> model ─> text: the answer
       ^         │
       │       tool calls ─> input validated ─> functions, all of one reply at once
       └──── their results ──────────────────────────┘           at most `rounds` times

What goes wrong in a tool is told to the model, which may do without it or try again. What ends the attempt (it is to be
parked, or its task is not its own any more, or its budget is spent) passes through and cancels the other calls.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticSerializationError, to_jsonable_python

from flotilla.errors import (
    AttemptRevokedError,
    BudgetExceededError,
    FlotillaError,
    ParkedError,
    PermanentError,
    StoreUnavailableError,
)
from flotilla.llm.misfits import misfits
from flotilla.llm.served import Converse, Served
from flotilla.llm_ports import Message, ModelRequest, Role, StopReason, Tool, ToolCall, ToolResult
from flotilla.ports import RunSync
from flotilla.primitives.json_schema import untitled

logger = logging.getLogger("flotilla.llm")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ERROR_CHARACTERS = 2000
_NOT_FOR_THE_MODEL = (AttemptRevokedError, BudgetExceededError, ParkedError, StoreUnavailableError)


class ToolRoundsError(PermanentError):
    """The model went on asking for tools. Asked again it would."""

    default_code = "model_tool_rounds"


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A function that a model may have called.

    Its parameters are the tool's input: each is validated to its annotation, and `Annotated[str, Field(description=…)]`
    tells the model more of it.

    Args:
        name: Letters, digits, `_` and `-`, at most 64.
        description: What it does and when to use it, for the model.
        function: A coroutine function, or a plain one, which is run on a thread. What it returns is text or can be
            written as JSON. It may be called several times at once.

    Raises:
        PermanentError: It cannot be a tool (`invalid_tool`).
    """

    name: str
    description: str
    function: Callable[..., Any]
    _arguments: type[BaseModel] = field(init=False, repr=False, compare=False)
    _fields: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise _invalid(f"{self.name!r} is no name of a tool")
        try:
            signature = inspect.signature(self.function, eval_str=True)
        except (NameError, TypeError, ValueError) as error:
            raise _invalid(f"the annotations of tool {self.name} cannot be read") from error
        fields: dict[str, Any] = {}
        names: dict[str, str] = {}
        for position, parameter in enumerate(signature.parameters.values()):
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise _invalid(f"tool {self.name} takes its input by names: {parameter} has none")
            annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
            default = ... if parameter.default is parameter.empty else parameter.default
            # Under names of ours: a parameter may be called as a method of pydantic's models is.
            fields[f"p{position}"] = (annotation, Field(default, alias=parameter.name))
            names[f"p{position}"] = parameter.name
        object.__setattr__(self, "_fields", names)
        object.__setattr__(self, "_arguments", create_model(self.name, __base__=_Arguments, **fields))

    @classmethod
    def of(cls, function: Callable[..., Any], *, name: str | None = None, description: str | None = None) -> ToolSpec:
        """A tool by the function's own name and docstring."""
        named = name or str(getattr(function, "__name__", ""))
        return cls(named, (inspect.getdoc(function) or "") if description is None else description, function)

    def tool(self) -> Tool:
        """As a model is told of it."""
        return Tool(self.name, self.description, untitled(self._arguments.model_json_schema(by_alias=True)))

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the function is called with.

        Raises:
            ValidationError: The input is not what its parameters take.
        """
        valid = self._arguments.model_validate_json(json.dumps(given))
        return {name: getattr(valid, key) for key, name in self._fields.items()}


async def use_tools(
    converse: Converse,
    request: ModelRequest,
    tools: Sequence[ToolSpec],
    *,
    rounds: int = 8,
    run_sync: RunSync | None = None,
) -> Served:
    """Have a model answer, calling the tools that it asks for.

    Args:
        converse: Makes one call.
        request: What is asked; its tools are these.
        tools: What may be called, by different names.
        rounds: Calls to the model at the most.
        run_sync: Runs plain functions; threads of the event loop by default.

    Returns:
        The last answer. It may be cut off, or withheld: its `stop_reason` says so.

    Raises:
        ToolRoundsError: It asked for tools in every round (`model_tool_rounds`).
        PermanentError: Two tools have the same name (`invalid_tool`).
        FlotillaError: What `converse` raises, and what of the tools' errors is not the model's business.
    """
    served, _ = await answered(converse, request, tools, rounds=rounds, run_sync=run_sync)
    return served


async def answered(
    converse: Converse,
    request: ModelRequest,
    tools: Sequence[ToolSpec],
    *,
    rounds: int,
    run_sync: RunSync | None,
) -> tuple[Served, ModelRequest]:
    """As `use_tools`; also returns the request that brought the answer, with all that was said before it."""
    by_name = {tool.name: tool for tool in tools}
    if len(by_name) < len(tools):
        raise _invalid("each tool needs a name of its own")
    if tools:
        request = replace(request, tools=tuple(tool.tool() for tool in tools))
    for _ in range(max(1, rounds)):
        served = await converse(request)
        reply = served.reply
        # Where the answer was cut off or withheld, so may be what it wants of its tools.
        if not tools or not reply.tool_calls or reply.stop_reason is not StopReason.TOOL_USE:
            return served, request
        results = await _at_once([_result(by_name, call, run_sync or asyncio.to_thread) for call in reply.tool_calls])
        said = Message(Role.ASSISTANT, reply.text, tool_calls=reply.tool_calls)
        request = replace(request, messages=(*request.messages, said, Message(Role.USER, tool_results=results)))
    raise ToolRoundsError(f"the model asked for tools {max(1, rounds)} times and did not answer")


async def _at_once(work: Sequence[Coroutine[Any, Any, ToolResult]]) -> list[ToolResult]:
    """All results, in order; or the first error, when nothing else is under way any more."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
    return [task.result() for task in tasks]


async def _result(
    by_name: Mapping[str, ToolSpec], call: ToolCall, run_sync: Callable[..., Awaitable[Any]]
) -> ToolResult:
    tool = by_name.get(call.name)
    if tool is None:
        return ToolResult(call.id, f"There is no tool {call.name!r}, only {', '.join(by_name)}.", failed=True)
    try:
        arguments = tool.arguments(call.input)
    except ValidationError as error:
        return ToolResult(call.id, f"The input is not valid:\n{misfits(error)}", failed=True)
    try:
        returned = await _called(tool, arguments, run_sync)
        content = returned if isinstance(returned, str) else to_jsonable_python(returned)
    except _NOT_FOR_THE_MODEL:
        raise
    except PydanticSerializationError:
        logger.exception("tool returned what is not JSON", extra={"tool": tool.name})
        return ToolResult(call.id, "The tool did not work.", failed=True)
    except Exception as error:  # noqa: BLE001 - whatever a tool raises is for the model to deal with
        code = error.code if isinstance(error, FlotillaError) else type(error).__name__
        logger.warning("tool failed", extra={"tool": tool.name, "code": code})
        return ToolResult(call.id, f"{code}: {error}"[:_ERROR_CHARACTERS], failed=True)
    return ToolResult(call.id, content)


async def _called(tool: ToolSpec, arguments: dict[str, Any], run_sync: Callable[..., Awaitable[Any]]) -> Any:
    function = tool.function
    if inspect.iscoroutinefunction(function):
        return await function(**arguments)
    returned = await run_sync(lambda: function(**arguments))
    return await returned if inspect.isawaitable(returned) else returned


def _invalid(message: str) -> PermanentError:
    return PermanentError(message, code="invalid_tool")
