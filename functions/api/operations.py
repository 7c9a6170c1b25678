"""What a client does to its tasks after it submitted them: cancel, redrive, signal."""

from __future__ import annotations

from flotilla.agents.catalog import Catalog
from flotilla.errors import InvalidInputError
from flotilla.events import TaskState
from flotilla.models import canonical_json
from flotilla.services.cancel import CancelService
from flotilla.services.redrive import Correction, NotRedrivableError, RedriveService
from flotilla.services.signal import (
    MAX_PAYLOAD_BYTES,
    AlreadySignalledError,
    NotWaitingError,
    Signal,
    SignalService,
)
from functions.api.gateway import Response
from functions.api.problems import refusal
from functions.api.reading import json_body, no_such_task, optional_body, task_id_of
from functions.api.requests import CancelRequest, RedriveRequest, SignalRequest, read
from functions.api.routing import Call
from functions.api.task_view import TaskViews, task_path
from functions.api.validation import InputValidators


class TaskOperations:
    """Answers the calls that change a task.

    Args:
        cancel: Cancels.
        redrive: Redrives.
        signals: Gives signals.
        catalog: The deployed agents.
        validators: Check corrected inputs.
        views: Shows the tasks.
    """

    def __init__(
        self,
        *,
        cancel: CancelService,
        redrive: RedriveService,
        signals: SignalService,
        catalog: Catalog,
        validators: InputValidators,
        views: TaskViews,
    ) -> None:
        self._cancel = cancel
        self._redrive = redrive
        self._signals = signals
        self._catalog = catalog
        self._validators = validators
        self._views = views

    async def cancel(self, call: Call) -> Response:
        """`POST /v1/tasks/{task_id}/cancel`: the task as it is now, and whether this call ended it."""
        task_id = task_id_of(call)
        optional_body(CancelRequest, call.request)
        identity = call.identity
        done = await self._cancel.cancel(
            identity.tenant, task_id, actor=identity.actor, request_id=call.request.request_id
        )
        if done is None:
            raise no_such_task()
        return await self._answer(done.state, cancelled=done.changed)

    async def redrive(self, call: Call) -> Response:
        """`POST /v1/tasks/{task_id}/redrive`: the task as it is now, and whether this call set it going again."""
        task_id = task_id_of(call)
        wanted = optional_body(RedriveRequest, call.request)
        identity = call.identity
        correction = None
        if wanted.corrects:
            found = await self._redrive.find(task_id, tenant=identity.tenant)
            if found is not None:
                self._validators.check(self._catalog.get(found.state.agent), wanted.input)
            correction = Correction(wanted.input)
        try:
            done = await self._redrive.redrive(
                task_id,
                tenant=identity.tenant,
                actor=identity.actor,
                request_id=call.request.request_id,
                correction=correction,
            )
        except NotRedrivableError as error:
            raise refusal("not-redrivable", f"{error.message} Submit it as a new task instead.") from None
        if done is None:
            raise no_such_task()
        return await self._answer(done.state, redriven=done.changed)

    async def signal(self, call: Call) -> Response:
        """`POST /v1/tasks/{task_id}/signal`: the task as it is now."""
        task_id = task_id_of(call)
        wanted = read(SignalRequest, json_body(call.request))
        if len(canonical_json(wanted.payload).encode()) > MAX_PAYLOAD_BYTES:
            why = f"must have at most {MAX_PAYLOAD_BYTES} bytes as JSON"
            raise InvalidInputError("The payload is too large.", [("/payload", why)])
        identity = call.identity
        signal = Signal(wanted.name, wanted.payload, identity.actor, call.request.request_id)
        try:
            done = await self._signals.signal(task_id, signal, tenant=identity.tenant)
        except NotWaitingError as error:
            raise refusal("not-waiting", _why_not(error.state)) from None
        except AlreadySignalledError:
            raise refusal("already-signalled", "It was given before, and cannot be taken back.") from None
        if done is None:
            raise no_such_task()
        headers = {"location": task_path(task_id)} | ({} if done.changed else {"idempotent-replay": "true"})
        return Response(202, await self._views.show(done.state), headers)

    async def _answer(self, state: TaskState, **did: bool) -> Response:
        return Response(202, await self._views.show(state) | did, {"location": task_path(state.task_id)})


def _why_not(state: TaskState) -> str:
    if state.waiting_for is not None:
        return f"The task waits for {state.waiting_for}."
    return f"The task is {state.status.value}."
