"""What clients may send, as models that also describe it.

A member that is not listed is an error: a misspelt `deadline` that was silently passed over would
be a promise broken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from flotilla.errors import InvalidInputError

MAX_ERRORS = 20
"""No more errors than this are told of one request."""

_PATH_CHARACTERS = 256
_MESSAGE_CHARACTERS = 200

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def _milliseconds(value: Any) -> int:
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        try:
            return int(datetime.fromisoformat(value.upper()).timestamp() * 1000)
        except (ValueError, OverflowError):
            pass  # the form of a time, but no day or hour there is
    raise PydanticCustomError("time", "must be a time as of RFC 3339, such as 2030-01-31T12:00:00Z")


def _not_available(_value: Any) -> None:
    raise PydanticCustomError("not_available", "is not available on this deployment")


Time = Annotated[
    int, BeforeValidator(_milliseconds), WithJsonSchema({"type": "string", "format": "date-time"}, mode="validation")
]
"""A time; RFC 3339 outside, milliseconds since the epoch inside."""

NotAvailable = Annotated[None, BeforeValidator(_not_available)]
"""A member of the contract whose mechanism is not deployed: refused, since passing it over would be a lie."""

Label = Annotated[str, Field(max_length=256)]
LabelName = Annotated[str, Field(min_length=1, max_length=64)]


class TaskRequest(BaseModel):
    """The body of `POST /v1/tasks`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    agent: Annotated[str, Field(min_length=1, max_length=128)]
    input: Any
    lane: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    session: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    deadline: Time | None = None
    max_attempts: Annotated[int, Field(ge=1, le=20)] | None = None
    labels: Annotated[dict[LabelName, Label], Field(max_length=16)] | None = None
    input_ref: NotAvailable | None = None
    delay_seconds: NotAvailable | None = None
    run_at: NotAvailable | None = None
    budget_usd: NotAvailable | None = None
    webhook: NotAvailable | None = None


M = TypeVar("M", bound=BaseModel)


def read(model: type[M], value: Any) -> M:
    """Make a request of decoded JSON.

    Raises:
        InvalidInputError: It is not one; names each member that is wrong, and repeats no value.
    """
    if not isinstance(value, Mapping):
        raise InvalidInputError("The body must be a JSON object.", [("", "must be an object")])
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidInputError(
            "The request has members that are wrong or missing.",
            [(pointer(item["loc"]), _message(item["type"], item["msg"])) for item in found[:MAX_ERRORS]],
        ) from None


def pointer(parts: tuple[int | str, ...] | list[int | str]) -> str:
    """The JSON Pointer (RFC 6901) to a value, cut where a client's own names make it long."""
    text = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return shortened(text, _PATH_CHARACTERS)


def shortened(text: str, characters: int = _MESSAGE_CHARACTERS) -> str:
    """`text`, at most so many characters long."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _message(kind: str, message: str) -> str:
    match kind:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "is not a member of this request"
        case _:
            return shortened(message)
