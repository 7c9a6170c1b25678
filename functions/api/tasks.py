"""`/v1/tasks`: submit, look at, wait for, list."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from flotilla.clock import Clock
from flotilla.errors import InvalidInputError, RetryableError
from flotilla.events import TaskState
from flotilla.models import Payload, Status
from flotilla.read_model import EntryFilter
from flotilla.services.listing import ListService
from flotilla.services.read import ReadService
from flotilla.services.submit import Accepted, SubmitService
from flotilla.services.submit_limits import SubmitLimits
from functions.api.admission import Admission
from functions.api.admission import accepted as accepting
from functions.api.event_view import MAX_PAGE_EVENTS, show_page
from functions.api.gateway import Request, Response
from functions.api.headers import idempotency_key, wait_seconds
from functions.api.rate_limits import rate_limit_fields
from functions.api.reading import (
    ANSWER_SECONDS,
    bounded_wait,
    json_body,
    no_such_task,
    task_id_of,
    wrong_cursor,
)
from functions.api.requests import TaskListQuery, read_query
from functions.api.routing import Call
from functions.api.submissions import Submissions
from functions.api.task_view import MAX_INLINE_BYTES, TaskViews, task_path

_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")

_NO_ADMISSION: dict[str, None] = {"position": None, "eta_seconds": None, "estimated_cost_usd": None}


class TaskRoutes:
    """Answers the calls about tasks."""

    def __init__(
        self,
        *,
        submissions: Submissions,
        limits: SubmitLimits,
        submit: SubmitService,
        read: ReadService,
        listing: ListService,
        views: TaskViews,
        clock: Clock,
    ) -> None:
        self._submissions = submissions
        self._admission = Admission(limits)
        self._submit = submit
        self._read = read
        self._listing = listing
        self._views = views
        self._clock = clock

    async def submit(self, call: Call) -> Response:
        """`POST /v1/tasks`."""
        request = call.request
        body = json_body(request)
        submission = await self._submissions.read(call, body, key=idempotency_key(request))
        admitted = await self._admission.admit(call, submission.agent.name)
        accepted = await accepting(self._submit.submit(submission), admitted)
        call.log["task_id"] = accepted.state.task_id
        headers = rate_limit_fields(await admitted.in_force())
        if accepted.replayed:
            headers["idempotent-replay"] = "true"
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
        task_id = task_id_of(call)
        wait = wait_seconds(call.request)
        if wait is None:
            state = await self._read.task(call.identity.tenant, task_id)
            headers = {}
        else:
            state = await self._read.wait(call.identity.tenant, task_id, bounded_wait(call, wait, self._clock))
            headers = {"preference-applied": f"wait={wait}"}
        if state is None:
            raise no_such_task()
        return Response(200, await self._views.show(state), headers)

    async def events(self, call: Call) -> Response:
        """`GET /v1/tasks/{task_id}/events`."""
        task_id = task_id_of(call)
        after = _query_number(call.request, "cursor", default=-1, lowest=0)
        limit = _query_number(call.request, "limit", default=MAX_PAGE_EVENTS, lowest=1, highest=MAX_PAGE_EVENTS)
        events = await self._read.events(call.identity.tenant, task_id)
        if events is None:
            raise no_such_task()
        return Response(200, show_page(events, after=after, limit=limit))

    async def list(self, call: Call) -> Response:
        """`GET /v1/tasks`."""
        query = read_query(TaskListQuery, call.request.query)
        wanted = EntryFilter(
            tenant=call.identity.tenant,
            status=None if query.status is None else Status(query.status),
            agent=query.agent,
            lane=query.lane,
            session=query.session,
            created_after_ms=query.created_after,
        )
        try:
            page = await self._listing.list(call.identity.tenant, wanted, query.limit, query.cursor)
        except ValueError:
            raise wrong_cursor() from None
        items = [self._views.show_in_list(state) for state in page.tasks]
        return Response(200, {"items": items, "next_cursor": page.next_cursor})

    async def _finished(self, call: Call, accepted: Accepted, task_input: Any, wait: int) -> dict[str, Any] | None:
        """The finished task, if it finishes in time and can be read.

        The task is accepted, and a client without an idempotency key could not repeat the call
        without making a second one: so no failure to see how it goes on is told as an error.
        """
        seconds = bounded_wait(call, wait, self._clock)
        task_id = accepted.state.task_id
        try:
            async with asyncio.timeout(seconds + ANSWER_SECONDS / 2):
                state = await self._read.wait(call.identity.tenant, task_id, seconds)
                if state is None or not state.status.terminal:
                    return None
                return await self._views.show(_with_input(state, accepted, task_input))
        except (RetryableError, TimeoutError):
            return None


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
