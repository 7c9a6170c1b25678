"""`/v1/tasks`: submit, look at, wait for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from flotilla.agents.catalog import AgentSpec, Catalog
from flotilla.clock import Clock
from flotilla.errors import InvalidInputError, RetryableError
from flotilla.events import TaskState
from flotilla.models import Payload
from flotilla.services.read import ReadService
from flotilla.services.submit import Accepted, Submission, SubmitService
from functions.api.body import MalformedBodyError, decode
from functions.api.event_view import MAX_PAGE_EVENTS, show_page
from functions.api.gateway import Request, Response
from functions.api.headers import idempotency_key, require_json, wait_seconds
from functions.api.problems import RefusalError, refusal
from functions.api.requests import TaskRequest, read
from functions.api.routing import Call
from functions.api.task_view import MAX_INLINE_BYTES, TaskViews, task_path
from functions.api.validation import InputValidators

_TASK_ID = re.compile(r"tsk_[0-9a-f]{32}")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")

_ANSWER_SECONDS = 2.0
"""Kept back from a wait, to write the answer in."""

_NO_ADMISSION: dict[str, None] = {"position": None, "eta_seconds": None, "estimated_cost_usd": None}


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
        if wanted is not None and wanted not in self.names:
            there_are = ", ".join(sorted(self.names))
            raise InvalidInputError("There is no such lane.", [("/lane", f"must be one of: {there_are}")])
        return wanted or agent.lane or self.default


class TaskRoutes:
    """Answers the calls about tasks."""

    def __init__(
        self,
        *,
        submit: SubmitService,
        read: ReadService,
        catalog: Catalog,
        views: TaskViews,
        lanes: Lanes,
        clock: Clock,
    ) -> None:
        self._submit = submit
        self._read = read
        self._catalog = catalog
        self._validators = InputValidators()
        self._views = views
        self._lanes = lanes
        self._clock = clock

    async def submit(self, call: Call) -> Response:
        """`POST /v1/tasks`."""
        request = call.request
        require_json(request)
        submission = self._submission(call, idempotency_key(request), _decoded(request))
        accepted = await self._submit.submit(submission)
        call.log["task_id"] = accepted.state.task_id
        headers = {"idempotent-replay": "true"} if accepted.replayed else {}
        path = task_path(accepted.state.task_id)
        wait = wait_seconds(request)
        if wait is not None:
            headers["preference-applied"] = f"wait={wait}"
            finished = await self._finished(call, accepted, submission.input, wait)
            if finished is not None:
                return Response(200, finished, {"content-location": path, **headers})
        view = await self._views.show(_with_input(accepted.state, accepted, submission.input))
        return Response(202, view | {"admission": _NO_ADMISSION}, {"location": path, **headers})

    async def get(self, call: Call) -> Response:
        """`GET /v1/tasks/{task_id}`."""
        task_id = _task_id(call)
        wait = wait_seconds(call.request)
        if wait is None:
            state = await self._read.task(call.identity.tenant, task_id)
            headers = {}
        else:
            state = await self._read.wait(call.identity.tenant, task_id, self._bounded(call, wait))
            headers = {"preference-applied": f"wait={wait}"}
        if state is None:
            raise _no_such_task()
        return Response(200, await self._views.show(state), headers)

    async def events(self, call: Call) -> Response:
        """`GET /v1/tasks/{task_id}/events`."""
        task_id = _task_id(call)
        after = _query_number(call.request, "cursor", default=-1, lowest=0)
        limit = _query_number(call.request, "limit", default=MAX_PAGE_EVENTS, lowest=1, highest=MAX_PAGE_EVENTS)
        events = await self._read.events(call.identity.tenant, task_id)
        if events is None:
            raise _no_such_task()
        return Response(200, show_page(events, after=after, limit=limit))

    def _submission(self, call: Call, key: str | None, body: Any) -> Submission:
        wanted = read(TaskRequest, body)
        agent = self._catalog.get(wanted.agent)
        lane = self._lanes.for_task(wanted.lane, agent)
        if wanted.deadline is not None and wanted.deadline <= self._clock.now_ms():
            raise InvalidInputError("The deadline has passed.", [("/deadline", "must be in the future")])
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
            deadline_ms=wanted.deadline,
            labels=wanted.labels or {},
            trace=call.request.trace,
        )

    async def _finished(self, call: Call, accepted: Accepted, task_input: Any, wait: int) -> dict[str, Any] | None:
        """The finished task, if it finishes in time and can be read.

        The task is accepted, and a client without an idempotency key could not repeat the call
        without making a second one: so no failure to see how it goes on is told as an error.
        """
        seconds = self._bounded(call, wait)
        task_id = accepted.state.task_id
        try:
            async with asyncio.timeout(seconds + _ANSWER_SECONDS / 2):
                state = await self._read.wait(call.identity.tenant, task_id, seconds)
                if state is None or not state.status.terminal:
                    return None
                return await self._views.show(_with_input(state, accepted, task_input))
        except (RetryableError, TimeoutError):
            return None

    def _bounded(self, call: Call, wait: int) -> float:
        left = (call.request.ends_ms - self._clock.now_ms()) / 1000 - _ANSWER_SECONDS
        return max(0.0, min(float(wait), left))


def _decoded(request: Request) -> Any:
    try:
        return decode(request.body_bytes())
    except MalformedBodyError as error:
        raise refusal("malformed-json", str(error)) from None


def _with_input(state: TaskState, accepted: Accepted, task_input: Any) -> TaskState:
    """The state with its input at hand: what this very call put into the store need not be fetched."""
    if (
        not accepted.replayed
        and state.input.ref is not None
        and state.input.ref == accepted.state.input.ref
        and state.input.size_bytes <= MAX_INLINE_BYTES
    ):
        state.input = Payload(inline=task_input)
    return state


def _task_id(call: Call) -> str:
    task_id = call.parameters["task_id"]
    if not _TASK_ID.fullmatch(task_id):
        raise _no_such_task()
    call.log["task_id"] = task_id
    return task_id


def _no_such_task() -> RefusalError:
    # The same for a task of another tenant and for one that never was.
    return refusal("not-found", "There is no such task.")


def _query_number(request: Request, name: str, *, default: int, lowest: int, highest: int | None = None) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if _WHOLE_NUMBER.fullmatch(text):
        number = int(text)
        if number >= lowest and (highest is None or number <= highest):
            return number
    allowed = f"from {lowest} to {highest}" if highest is not None else "as next_cursor gave it"
    raise InvalidInputError(f"The query's {name} is wrong.", [(f"?{name}", f"must be a whole number {allowed}")])
