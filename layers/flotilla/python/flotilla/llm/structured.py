"""Answers of a type: what pydantic can validate is asked for by its schema, and what comes is validated.

Of what a model wraps around its answer only a code fence is taken off. Anything else that does not fit is shown to the
model with what is wrong about it, a bounded number of times; each is a call like any other, and paid for like it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from flotilla.errors import PermanentError
from flotilla.llm.misfits import misfits
from flotilla.llm.served import Converse, Served
from flotilla.llm.tool_use import ToolSpec, answered
from flotilla.llm_ports import Message, ModelReply, ModelRequest, OutputSchema, Role, StopReason
from flotilla.ports import RunSync
from flotilla.primitives.json_schema import untitled

logger = logging.getLogger("flotilla.llm")

T = TypeVar("T")

_FENCE = re.compile(r"^[ \t]*```[ \t]*\w*[ \t]*\n(.*?)\n?[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
_NOT_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_CHARACTERS = 64


class ModelOutputInvalidError(PermanentError):
    """The model's answers were never what was asked for.

    Args:
        message: What is wrong with the last one.
        cut: It reached `max_tokens`.
        served: The last answer.
    """

    default_code = "model_output_invalid"

    def __init__(self, message: str, *, cut: bool, served: Served) -> None:
        super().__init__(message)
        self.cut = cut
        self.served = served


class OutputForm(Generic[T]):
    """A type as what a model's answer is to be.

    What is no JSON object (a list, a text, a choice of types) is asked for as the only member, `value`, of one: that is
    all that models can be held to.

    Args:
        output: What pydantic can validate.

    Raises:
        PermanentError: It cannot be described by a JSON Schema (`invalid_output_type`).
    """

    def __init__(self, output: Any) -> None:
        name = _NOT_NAME.sub("_", getattr(output, "__name__", None) or "output").strip("_")[:_NAME_CHARACTERS]
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(output)
            schema = _at_top(self._adapter.json_schema())
            self._wrapped = schema.get("type") != "object"
            if self._wrapped:
                self._adapter = TypeAdapter(create_model(name or "output", value=(output, ...)))
                schema = self._adapter.json_schema()
        except (PydanticUserError, PydanticSchemaGenerationError) as error:
            raise PermanentError(
                f"{output!r} is no type that a model can answer", code="invalid_output_type"
            ) from error
        self.schema = OutputSchema(name or "output", untitled(schema))

    def parse(self, text: str) -> T:
        """The value that an answer is.

        Raises:
            ValidationError: It is none.
        """
        found = self._adapter.validate_json(unfenced(text))
        value: T = found.value if self._wrapped else found
        return value


async def generate_structured(
    converse: Converse,
    request: ModelRequest,
    output: type[T],
    *,
    repairs: int = 1,
    tools: Sequence[ToolSpec] = (),
    rounds: int = 8,
    run_sync: RunSync | None = None,
) -> tuple[T, Served]:
    """Have a model answer with a value of a type.

    Args:
        converse: Makes one call.
        request: What is asked; its `output` is the type's.
        output: What pydantic can validate.
        repairs: How often the model is told what is wrong with its answer, and asked again.
        tools: What it may have called on its way to each answer, see `use_tools`.
        rounds: See `use_tools`.
        run_sync: See `use_tools`.

    Returns:
        The value, and the answer it was in.

    Raises:
        ModelOutputInvalidError: It never was one (`model_output_invalid`). An answer that was cut off is not repaired:
            it would be cut off again.
        PermanentError: The provider withheld the answer (`model_filtered`).
        FlotillaError: What `converse` and the tools raise.
    """
    form: OutputForm[T] = _form(output)
    request = replace(request, output=form.schema)
    left = repairs
    while True:
        served, request = await answered(converse, request, tools, rounds=rounds, run_sync=run_sync)
        reply = served.reply
        if reply.stop_reason is StopReason.FILTERED:
            raise PermanentError("the model's provider withheld its answer", code="model_filtered")
        try:
            return form.parse(reply.text), served
        except ValidationError as error:
            wrong = misfits(error)
        cut = reply.stop_reason is StopReason.MAX_TOKENS
        logger.warning("model output invalid", extra={"model": served.served, "cut": cut, "repairs_left": left})
        if cut:
            message = f"the model's answer was cut off at {request.max_tokens} tokens"
            raise ModelOutputInvalidError(message, cut=True, served=served)
        if left <= 0:
            raise ModelOutputInvalidError(f"the model's answer does not fit:\n{wrong}", cut=False, served=served)
        left -= 1
        request = replace(request, messages=(*request.messages, *_objection(reply, wrong)))


def _objection(reply: ModelReply, wrong: str) -> tuple[Message, ...]:
    words = f"This is not valid:\n{wrong}\nAnswer again, with all of it and in the form that was asked for."
    if not reply.text.strip():
        return (Message(Role.USER, "There was no answer. Answer in the form that was asked for."),)
    return Message(Role.ASSISTANT, reply.text), Message(Role.USER, words)


@lru_cache(maxsize=256)
def _kept(output: Any) -> OutputForm[Any]:
    return OutputForm(output)


def _form(output: Any) -> OutputForm[Any]:
    try:
        return _kept(output)
    except TypeError:  # annotations may hold what cannot be hashed
        return OutputForm(output)


def _at_top(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema itself instead of a reference to it, which is how a type that holds itself is written."""
    if "$ref" not in schema:
        return schema
    definitions = schema.get("$defs", {})
    return {**definitions[schema["$ref"].removeprefix("#/$defs/")], "$defs": definitions}


def unfenced(text: str) -> str:
    """What is within the only code fence of a text, or the text."""
    fenced = _FENCE.findall(text) if not text.lstrip().startswith("{") else []
    return fenced[0] if len(fenced) == 1 else text
