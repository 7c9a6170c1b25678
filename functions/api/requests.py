"""What clients may send, as models that also describe it.

A member that is not listed is an error: a misspelt `deadline` that was silently passed over would
be a promise broken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
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

MOST_DOLLARS = 1_000_000

_MICROS = 6
"""Digits after the point: the money of a task is counted in millionths."""


def _in_micros(value: float) -> float:
    if -Decimal(repr(value)).normalize().as_tuple().exponent > _MICROS:  # type: ignore[operator]  # it is finite
        raise PydanticCustomError("digits", "must have at most 6 digits after the point")
    return value


Dollars = Annotated[float, Field(gt=0, le=MOST_DOLLARS), AfterValidator(_in_micros)]
"""An amount in US dollars, in whole millionths."""

LONGEST_DELAY_SECONDS = 31_536_000
"""365 days."""

Label = Annotated[str, Field(max_length=256)]
LabelName = Annotated[str, Field(min_length=1, max_length=64)]
AgentName = Annotated[str, Field(min_length=1, max_length=128)]
LaneName = Annotated[str, Field(min_length=1, max_length=64)]
Session = Annotated[str, Field(min_length=1, max_length=256)]
SignalName = Annotated[str, Field(min_length=1, max_length=96)]
TaskId = Annotated[str, Field(pattern=r"^(tsk|wfl)_[0-9a-f]{32}$")]
Cursor = Annotated[str, Field(min_length=1, max_length=2048)]
Cause = Annotated[str, Field(min_length=1, max_length=256)]


class _Request(BaseModel):
    # A request's validator is built when the first of its kind comes: a cold start has use for one of them.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class TaskRequest(_Request):
    """The body of `POST /v1/tasks`."""

    agent: AgentName
    input: Any
    lane: LaneName | None = None
    session: Session | None = None
    delay_seconds: Annotated[float, Field(ge=1, le=LONGEST_DELAY_SECONDS)] | None = None
    run_at: Time | None = None
    deadline: Time | None = None
    max_attempts: Annotated[int, Field(ge=1, le=20)] | None = None
    labels: Annotated[dict[LabelName, Label], Field(max_length=16)] | None = None
    webhook: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    input_ref: NotAvailable | None = None
    budget_usd: Dollars | None = None


class RunRequest(_Request):
    """The body of `POST /v1/workflows/{name}`."""

    input: Any
    lane: LaneName | None = None
    deadline: Time | None = None
    labels: Annotated[dict[LabelName, Label], Field(max_length=16)] | None = None
    webhook: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    budget_usd: Dollars | None = None


class CancelRequest(_Request):
    """The body of `POST /v1/tasks/{task_id}/cancel`: nothing is to be said."""


class SignalRequest(_Request):
    """The body of `POST /v1/tasks/{task_id}/signal`; without a `payload` it is null."""

    name: SignalName
    payload: Any = None


class RedriveRequest(_Request):
    """The body of `POST /v1/tasks/{task_id}/redrive`; an `input` takes the place of the task's own."""

    input: Any = None

    @property
    def corrects(self) -> bool:
        """There is an input; null is one too."""
        return "input" in self.model_fields_set


class DeadLetterFilter(_Request):
    """Which dead letters; all of them where it says nothing. A cause is one's text or fingerprint."""

    agent: AgentName | None = None
    cause: Cause | None = None


class RedriveManyRequest(RedriveRequest):
    """The body of `POST /v1/dead-letters/redrive`: either a `filter` or `ids`; an `input` for a single id only."""

    filter: DeadLetterFilter | None = None
    ids: Annotated[list[TaskId], Field(min_length=1, max_length=500)] | None = None
    dry_run: bool = False
    rate_per_second: Annotated[float, Field(ge=0.1, le=100)] = 20.0
    cursor: Cursor | None = None


def _whole_number(value: Any) -> Any:
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        return int(value)
    raise PydanticCustomError("whole_number", "must be a whole number")


_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")

Limit = Annotated[
    int, BeforeValidator(_whole_number), Field(ge=1, le=100), WithJsonSchema({"type": "integer"}, mode="validation")
]


class TaskListQuery(_Request):
    """The query of `GET /v1/tasks`."""

    status: (
        Literal[
            "scheduled",
            "queued",
            "running",
            "retrying",
            "parked",
            "waiting",
            "succeeded",
            "dead_lettered",
            "cancelled",
            "expired",
        ]
        | None
    ) = None
    agent: AgentName | None = None
    lane: LaneName | None = None
    session: Session | None = None
    created_after: Time | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class RunListQuery(_Request):
    """The query of `GET /v1/workflows`."""

    name: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    status: Literal["running", "succeeded", "failed", "cancelled", "expired"] | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class RunTasksQuery(_Request):
    """The query of `GET /v1/workflows/{id}/tasks`."""

    step: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class RunEventsQuery(_Request):
    """The query of `GET /v1/workflows/{id}/events`."""

    cursor: Cursor | None = None


class DeadLetterListQuery(_Request):
    """The query of `GET /v1/dead-letters`."""

    agent: AgentName | None = None
    cause: Cause | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class UsageQuery(_Request):
    """The query of `GET /v1/usage`."""

    group_by: Literal["agent", "model", "tenant", "lane"] = "agent"
    since: Time | None = None
    until: Time | None = None
    as_route: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    as_model: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    limit: Limit = 100
    cursor: Cursor | None = None


class NoQuery(_Request):
    """The query of a call that takes none."""


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
        raise InvalidInputError(
            "The request has members that are wrong or missing.",
            [(pointer(item["loc"]), _message(item["type"], item["msg"])) for item in _found(error)],
        ) from None


def read_query(model: type[M], query: Mapping[str, str]) -> M:
    """Make a request of a query's parameters.

    Raises:
        InvalidInputError: It is none; names each parameter that is wrong, and repeats no value.
    """
    try:
        return model.model_validate(dict(query))
    except ValidationError as error:
        raise InvalidInputError(
            "The query has parameters that are wrong.",
            [("?" + pointer(item["loc"])[1:], _message(item["type"], item["msg"])) for item in _found(error)],
        ) from None


def _found(error: ValidationError) -> list[Any]:
    return list(error.errors(include_url=False, include_context=False, include_input=False)[:MAX_ERRORS])


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
