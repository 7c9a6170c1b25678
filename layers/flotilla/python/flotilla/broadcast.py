"""Values of the broadcast: what is told of a transition, and the webhook endpoints that ask to be told.

A message on the webhooks' queue must stay readable one version back and forward, as those on the lanes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flotilla.errors import UnreadableMessageError
from flotilla.models import Status

TERMINAL = (Status.SUCCEEDED, Status.DEAD_LETTERED, Status.CANCELLED, Status.EXPIRED)
"""What is told where nobody says otherwise: how tasks end."""

_MESSAGE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Notice:
    """One transition, in the form in which it is published.

    Attributes:
        id: `<task id>-<seq>`: the same however often it is published.
        type: `task.<status>`.
        at_ms: When the transition was recorded.
        attributes: What subscribers may filter by: kind, status, agent, lane, tenant.
        payload: `{"type", "timestamp", "data"}`, as JSON in ASCII.
    """

    id: str
    type: str
    at_ms: int
    attributes: Mapping[str, str]
    payload: str

    @property
    def document(self) -> str:
        """The payload with the notice's id in it, for carriers that have no header to put it in."""
        return f'{{"id":{json.dumps(self.id)},{self.payload[1:]}'


class EndpointState(StrEnum):
    """Whether an endpoint is told anything."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Secret:
    """What an endpoint's messages are signed with.

    Attributes:
        text: `whsec_` and base64.
        until_ms: Until when it is used besides a newer one; None for the newest.
    """

    text: str = field(repr=False)
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Breaker:
    """How deliveries to an endpoint went lately; `primitives.webhook_breaker` says what follows from it.

    Attributes:
        failures: Failures in a row since the last success.
        opened: How often it opened in a row; 0 while closed.
        until_ms: While open, when the next probe may go.
    """

    failures: int = 0
    opened: int = 0
    until_ms: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A tenant's webhook endpoint.

    Attributes:
        events: Statuses whose beginning it is told, of all its tenant's tasks.
        agents: Only tasks of these; None for all.
        secrets: The newest first; each signs every message while it is valid.
        version: Counts its changes; a change is refused where another came first.
    """

    id: str
    tenant: str
    url: str
    events: tuple[Status, ...]
    agents: tuple[str, ...] | None
    secrets: tuple[Secret, ...]
    created_at_ms: int
    state: EndpointState = EndpointState.ACTIVE
    breaker: Breaker = Breaker()
    version: int = 0

    def wants(self, status: Status, agent: str, named: str | None) -> bool:
        """Whether it is told that a task of `agent`, which names the endpoint `named`, came to `status`."""
        if self.state is not EndpointState.ACTIVE:
            return False
        if named == self.id and (status.terminal or status is Status.WAITING):
            return True  # how it ends, and that it cannot go on without somebody
        return status in self.events and (self.agents is None or agent in self.agents)


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """One notice on its way to one endpoint.

    Attributes:
        id: The `webhook-id`: the same for every attempt.
        queued_at_ms: When it was put on the queue; the schedule of attempts counts from here.
        payload: The request's body, to the letter.
        trace: The task's trace, as `traceparent`; None where the message is of a version that knew of none.
    """

    id: str
    tenant: str
    endpoint_id: str
    task_id: str
    seq: int
    queued_at_ms: int
    payload: str
    trace: str | None = None

    def to_body(self) -> str:
        """The message body."""
        members = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({"v": _MESSAGE_VERSION, **members}, separators=(",", ":"))

    @classmethod
    def from_body(cls, body: str) -> WebhookMessage:
        """Read a message body.

        Raises:
            UnreadableMessageError: It is not JSON, or not such a message.
        """
        try:
            value: dict[str, Any] = json.loads(body)
            members = {name: value[name] for name in cls.__slots__ if name in value or name != "trace"}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UnreadableMessageError(f"not a webhook message: {type(error).__name__}") from error
        for name, found in members.items():
            if not isinstance(found, _WEBHOOK_TYPES.get(name, str)):
                raise UnreadableMessageError(f"not a webhook message: {name}")
        return cls(**members)


_WEBHOOK_TYPES: dict[str, Any] = {"seq": int, "queued_at_ms": int, "trace": str | None}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads, as far as the URL itself says.

    Attributes:
        host: In lower case; an IPv6 address without its brackets.
        path: With the query, as it goes into the request.
    """

    tls: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answered.

    Attributes:
        retry_after: The header of that name as it came, if it did.
    """

    status: int
    retry_after: str | None = None
