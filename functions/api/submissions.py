"""From the body of `POST /v1/tasks`, or an item of a batch, to a submission: everything checked, nothing written."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from flotilla.agents.catalog import AgentSpec, Catalog
from flotilla.clock import Clock
from flotilla.errors import CircuitOpenError, InvalidInputError
from flotilla.primitives.budget import micros_of
from flotilla.services.submit import Submission
from functions.api.requests import LONGEST_DELAY_SECONDS, TaskRequest, read
from functions.api.routing import Call
from functions.api.validation import InputValidators

if TYPE_CHECKING:
    from flotilla.broadcast import Endpoint

LONGEST_SESSION_DELAY_SECONDS = 43_200
"""A session's task waits on its lane for its turn and its time, and SQS hides a message for 12 hours at the most."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes a task may be put on."""

    names: Collection[str]
    default: str

    def for_task(self, wanted: str | None, agent: AgentSpec) -> str:
        """The client's choice, else the agent's, else the fleet's.

        Raises:
            InvalidInputError: The client chose a lane that does not exist.
        """
        self.check(wanted)
        return wanted or agent.lane or self.default

    def check(self, wanted: str | None) -> None:
        """Check a client's choice.

        Raises:
            InvalidInputError: There is no such lane.
        """
        if wanted is not None and wanted not in self.names:
            there_are = ", ".join(sorted(self.names))
            raise InvalidInputError("There is no such lane.", [("/lane", f"must be one of: {there_are}")])


class EndpointNames(Protocol):
    """The webhook endpoints that are registered."""

    async def named(self, tenant: str, name: str) -> Endpoint | None:
        """The tenant's endpoint of that id or of exactly that URL.

        Raises:
            RetryableError: The store did not answer.
        """
        ...


class Dependencies(Protocol):
    """What agents depend on."""

    async def held(self, integrations: Iterable[str], routes: Iterable[str]) -> CircuitOpenError | None:
        """What holds calls back to one of these integrations, or to all models of one of these routes.

        None where all may be called, or nobody knows.
        """
        ...


class Submissions:
    """Makes submissions.

    Args:
        catalog: The deployed agents.
        lanes: The lanes.
        validators: Check inputs against the agents' schemas.
        endpoints: Makes (or returns) what knows the webhook endpoints; asked for by a task that names one.
        dependencies: Makes (or returns) what knows which integrations and routes are held back; asked by tasks of
            agents that would rather be refused than wait.
        clock: Tells what is past.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        lanes: Lanes,
        validators: InputValidators,
        endpoints: Callable[[], EndpointNames],
        dependencies: Callable[[], Dependencies],
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._lanes = lanes
        self._validators = validators
        self._endpoints = endpoints
        self._dependencies = dependencies
        self._clock = clock

    async def read(self, call: Call, body: Any, *, key: str | None) -> Submission:
        """Read a task's request.

        Args:
            call: The call that it is part of.
            body: The request, decoded.
            key: Its idempotency key.

        Raises:
            InvalidInputError: It is not right; names what is wrong.
            UnknownAgentError: No such agent is deployed.
            RetryableError: The store of endpoints did not answer.
        """
        wanted = read(TaskRequest, body)
        agent = self._catalog.get(wanted.agent)
        lane = self._lanes.for_task(wanted.lane, agent)
        due_ms = self._due_ms(wanted)
        self._validators.check(agent, wanted.input)
        return Submission(
            tenant=call.identity.tenant,
            actor=call.identity.actor,
            request_id=call.request.request_id,
            agent=agent,
            lane=lane,
            input=wanted.input,
            request=body,
            session=wanted.session,
            idempotency_key=key,
            max_attempts=wanted.max_attempts,
            due_at_ms=due_ms,
            deadline_ms=wanted.deadline,
            webhook=await endpoint_named(self._endpoints, call.identity.tenant, wanted.webhook),
            held=None if due_ms is not None else await self._held(agent),
            labels=wanted.labels or {},
            trace=call.request.trace,
            budget_micros=None if wanted.budget_usd is None else micros_of(wanted.budget_usd),
        )

    async def _held(self, agent: AgentSpec) -> CircuitOpenError | None:
        """What it depends on that is down, where the agent says to refuse its tasks then."""
        if agent.on_open != "reject":
            return None
        return await self._dependencies().held(agent.integrations, agent.routes)

    def _due_ms(self, wanted: TaskRequest) -> int | None:
        """When the task may start; None at once. Its deadline is checked against it."""
        now_ms = self._clock.now_ms()
        due_ms, path = None, ""
        if wanted.delay_seconds is not None:
            if wanted.run_at is not None:
                raise InvalidInputError("A task has one time.", [("/run_at", "cannot stand beside delay_seconds")])
            due_ms, path = now_ms + math.ceil(wanted.delay_seconds * 1000), "/delay_seconds"
        elif wanted.run_at is not None and wanted.run_at > now_ms:
            due_ms, path = wanted.run_at, "/run_at"
        wait_ms = 0 if due_ms is None else due_ms - now_ms
        if wait_ms > LONGEST_DELAY_SECONDS * 1000:
            raise InvalidInputError("The task is due too late.", [(path, "must be within 365 days")])
        if wanted.session is not None and wait_ms > LONGEST_SESSION_DELAY_SECONDS * 1000:
            raise InvalidInputError(
                "The task is due too late for one of a session.",
                [(path, "must be within 12 hours for a task with a session")],
            )
        if wanted.deadline is not None and wanted.deadline <= now_ms:
            raise InvalidInputError("The deadline has passed.", [("/deadline", "must be in the future")])
        if wanted.deadline is not None and due_ms is not None and wanted.deadline <= due_ms:
            raise InvalidInputError(
                "The deadline is before the task may start.", [("/deadline", "must be after the task is due")]
            )
        return due_ms


async def endpoint_named(endpoints: Callable[[], EndpointNames], tenant: str, wanted: str | None) -> str | None:
    """The id of the endpoint that a request's `webhook` names; None where it names none.

    Raises:
        InvalidInputError: There is no such endpoint.
        RetryableError: The store did not answer.
    """
    if wanted is None:
        return None
    found = await endpoints().named(tenant, wanted)
    if found is None:
        raise InvalidInputError(
            "There is no such webhook endpoint.",
            [("/webhook", "must be the id or the URL of an endpoint registered with POST /v1/webhooks")],
        )
    return found.id
