"""`/v1/workflows`: start runs of workflows, look at them, wait for them, list them, cancel them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flotilla.clock import Clock
from flotilla.errors import InvalidInputError
from flotilla.events import Event, fold
from flotilla.models import Payload
from flotilla.primitives.budget import micros_of
from flotilla.read_model import RunsFilter
from flotilla.services.cancel import CancelService
from flotilla.services.read import ReadService
from flotilla.services.run_reading import RunReader
from flotilla.services.run_state import asked_lane, begun_at
from flotilla.services.run_story import RunStory
from flotilla.services.runs import NewRun, RunService, spec_of
from flotilla.services.submit_limits import SubmitLimits
from flotilla.workflows.declaration import Workflow
from flotilla.workflows.order import RUN_AGENT, is_run
from functions.api.admission import Admission, accepted
from functions.api.gateway import Response
from functions.api.headers import idempotency_key, wait_seconds
from functions.api.problems import refusal
from functions.api.rate_limits import rate_limit_fields
from functions.api.reading import bounded_wait, json_body, no_such_run, optional_body, run_id_of, wrong_cursor
from functions.api.requests import (
    CancelRequest,
    RunEventsQuery,
    RunListQuery,
    RunRequest,
    RunTasksQuery,
    read,
    read_query,
)
from functions.api.routing import Call
from functions.api.submissions import EndpointNames, Lanes, endpoint_named
from functions.api.task_view import TaskViews
from functions.api.validation import InputValidators
from functions.api.workflow_view import ENDED_AS, RunViews, run_path


class RunRequests:
    """From the body of `POST /v1/workflows/{name}` to a run: everything checked, nothing written.

    Args:
        workflows: The deployed workflows.
        lanes: The lanes.
        validators: Check inputs against the workflows' schemas.
        endpoints: Makes (or returns) what knows the webhook endpoints; asked for by a run that names one.
        clock: Tells what is past.
    """

    def __init__(
        self,
        *,
        workflows: Mapping[str, Workflow],
        lanes: Lanes,
        validators: InputValidators,
        endpoints: Callable[[], EndpointNames],
        clock: Clock,
    ) -> None:
        self._workflows = workflows
        self._lanes = lanes
        self._validators = validators
        self._endpoints = endpoints
        self._clock = clock

    async def read(self, call: Call) -> NewRun:
        """Read a run's request.

        Raises:
            RefusalError: No such workflow is deployed, or the request is no JSON, or too large.
            InvalidInputError: It is not right; names what is wrong.
            RetryableError: The store of endpoints did not answer.
        """
        workflow = self._workflows.get(call.parameters["name"])
        if workflow is None:
            raise refusal("unknown-workflow", "No workflow of that name is deployed.")
        body = json_body(call.request)
        wanted = read(RunRequest, body)
        self._lanes.check(wanted.lane)
        if wanted.deadline is not None and wanted.deadline <= self._clock.now_ms():
            raise InvalidInputError("The deadline has passed.", [("/deadline", "must be in the future")])
        self._validators.check(spec_of(workflow), wanted.input)
        return NewRun(
            tenant=call.identity.tenant,
            actor=call.identity.actor,
            request_id=call.request.request_id,
            workflow=workflow,
            input=wanted.input,
            request=body,
            lane=wanted.lane,
            idempotency_key=idempotency_key(call.request),
            deadline_ms=wanted.deadline,
            budget_micros=None if wanted.budget_usd is None else micros_of(wanted.budget_usd),
            webhook=await endpoint_named(self._endpoints, call.identity.tenant, wanted.webhook),
            labels=wanted.labels or {},
            trace=call.request.trace,
        )


class WorkflowRoutes:
    """Answers the calls about runs of workflows.

    Args:
        requests: Reads the bodies.
        limits: Say how much may be accepted.
        runs: Accepts runs.
        read: Reads their logs, and waits for their ends.
        reader: Tells of their steps, and lists.
        story: Tells their events.
        cancel: Cancels them.
        tasks: Shows their tasks.
        clock: Tells how long a call may wait.
    """

    def __init__(
        self,
        *,
        requests: RunRequests,
        limits: SubmitLimits,
        runs: RunService,
        read: ReadService,
        reader: RunReader,
        story: RunStory,
        cancel: CancelService,
        tasks: TaskViews,
        clock: Clock,
    ) -> None:
        self._requests = requests
        self._admission = Admission(limits)
        self._runs = runs
        self._read = read
        self._reader = reader
        self._story = story
        self._cancel = cancel
        self._tasks = tasks
        self._views = RunViews(tasks)
        self._clock = clock

    async def start(self, call: Call) -> Response:
        """`POST /v1/workflows/{name}`."""
        wanted = await self._requests.read(call)
        admitted = await self._admission.admit(call, RUN_AGENT + wanted.workflow.name)
        answer = await accepted(self._runs.start(wanted), admitted)
        run_id = answer.state.task_id
        call.log["task_id"] = run_id
        headers = {"location": run_path(run_id), **rate_limit_fields(await admitted.in_force())}
        if answer.replayed:
            return Response(202, await self._shown(call, run_id), headers | {"idempotent-replay": "true"})
        # It is accepted: nothing more is asked of any store, so that no failure there is told as one of the start.
        answer.state.input = Payload(inline=wanted.input)
        return Response(202, await self._views.show(self._reader.fresh(answer.state), wanted.lane), headers)

    async def get(self, call: Call) -> Response:
        """`GET /v1/workflows/{id}`."""
        run_id = run_id_of(call)
        wait = wait_seconds(call.request)
        headers = {}
        if wait is not None:
            await self._read.wait(call.identity.tenant, run_id, bounded_wait(call, wait, self._clock))
            headers["preference-applied"] = f"wait={wait}"
        return Response(200, await self._shown(call, run_id), headers)

    async def list(self, call: Call) -> Response:
        """`GET /v1/workflows`."""
        query = read_query(RunListQuery, call.request.query)
        wanted = RunsFilter(
            tenant=call.identity.tenant,
            agent=None if query.name is None else RUN_AGENT + query.name,
            status=ENDED_AS.get(query.status or ""),
            finished=False if query.status == "running" else None,
        )
        try:
            page = await self._reader.runs(wanted, query.limit, query.cursor)
        except ValueError:
            raise wrong_cursor() from None
        items = [self._views.show_in_list(run) for run in page.runs]
        return Response(200, {"items": items, "next_cursor": page.next_cursor})

    async def tasks(self, call: Call) -> Response:
        """`GET /v1/workflows/{id}/tasks`."""
        run_id = run_id_of(call)
        query = read_query(RunTasksQuery, call.request.query)
        await self._log(call, run_id)
        try:
            page = await self._reader.tasks(
                call.identity.tenant, run_id, step=query.step, limit=query.limit, cursor=query.cursor
            )
        except ValueError:
            raise wrong_cursor() from None
        items = [self._tasks.show_in_list(state) for state in page.tasks]
        return Response(200, {"items": items, "next_cursor": page.next_cursor})

    async def events(self, call: Call) -> Response:
        """`GET /v1/workflows/{id}/events`."""
        run_id = run_id_of(call)
        query = read_query(RunEventsQuery, call.request.query)
        log = await self._log(call, run_id)
        try:
            page = await self._story.page(call.identity.tenant, run_id, log, query.cursor)
        except ValueError:
            raise wrong_cursor() from None
        return Response(200, {"items": page.items, "next_cursor": page.next_cursor})

    async def cancel(self, call: Call) -> Response:
        """`POST /v1/workflows/{id}/cancel`: the run as it is now, and whether this call ended it."""
        run_id = run_id_of(call)
        optional_body(CancelRequest, call.request)
        identity = call.identity
        done = await self._cancel.cancel(
            identity.tenant, run_id, actor=identity.actor, request_id=call.request.request_id
        )
        if done is None:
            raise no_such_run()
        view = await self._shown(call, run_id)
        return Response(202, view | {"cancelled": done.changed}, {"location": run_path(run_id)})

    async def _log(self, call: Call, run_id: str) -> Sequence[Event]:
        events = await self._read.events(call.identity.tenant, run_id)
        if events is None or not is_run(str(events[0].body.get("agent"))):
            raise no_such_run()
        return events

    async def _shown(self, call: Call, run_id: str) -> dict[str, Any]:
        events = await self._log(call, run_id)
        picture = await self._reader.picture(fold(events), begun_at(events).seq)
        return await self._views.show(picture, asked_lane(events[0]))
