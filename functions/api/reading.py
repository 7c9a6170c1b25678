"""What a call brings besides its headers: the task it names, its query, its body."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import BaseModel

from flotilla.clock import Clock
from flotilla.errors import InvalidInputError
from functions.api.body import MalformedBodyError, decode
from functions.api.gateway import Request
from functions.api.headers import require_json
from functions.api.problems import RefusalError, refusal
from functions.api.requests import read
from functions.api.routing import Call

_TASK_ID = re.compile(r"(?:tsk|wfl)_[0-9a-f]{32}")
"""Of a task, or of a workflow's run, which is one."""

_RUN_ID = re.compile(r"wfl_[0-9a-f]{32}")

ANSWER_SECONDS = 2.0
"""Kept back from a wait, to write the answer in."""

M = TypeVar("M", bound=BaseModel)


def task_id_of(call: Call) -> str:
    """The task that the path names.

    Raises:
        RefusalError: It cannot be the name of one.
    """
    task_id = call.parameters["task_id"]
    if not _TASK_ID.fullmatch(task_id):
        raise no_such_task()
    call.log["task_id"] = task_id
    return task_id


def run_id_of(call: Call) -> str:
    """The run of a workflow that the path names.

    Raises:
        RefusalError: It cannot be the name of one.
    """
    run_id = call.parameters["run_id"]
    if not _RUN_ID.fullmatch(run_id):
        raise no_such_run()
    call.log["task_id"] = run_id
    return run_id


def no_such_run() -> RefusalError:
    """The answer for a run that is not there, the same for another tenant's and for one that never was."""
    return refusal("not-found", "There is no such run of a workflow.")


def bounded_wait(call: Call, wait: int, clock: Clock) -> float:
    """The seconds that a call may wait which would wait so long, and still be answered in time."""
    left = (call.request.ends_ms - clock.now_ms()) / 1000 - ANSWER_SECONDS
    return max(0.0, min(float(wait), left))


def no_such_task() -> RefusalError:
    """The answer for a task that is not there, the same for another tenant's and for one that never was."""
    return refusal("not-found", "There is no such task.")


def wrong_cursor() -> InvalidInputError:
    """The error for a cursor that no page of this list gave."""
    return InvalidInputError("The query's cursor is wrong.", [("?cursor", "must be as next_cursor gave it")])


def json_body(request: Request) -> Any:
    """The decoded body of a call that must have one.

    Raises:
        RefusalError: It is not declared as JSON, too large, or no JSON.
    """
    require_json(request)
    try:
        return decode(request.body_bytes())
    except MalformedBodyError as error:
        raise refusal("malformed-json", str(error)) from None


def optional_body(model: type[M], request: Request) -> M:
    """The body of a call that may do without one.

    Raises:
        RefusalError: As `json_body`.
        InvalidInputError: It is not what this call takes.
    """
    return read(model, json_body(request) if request.body else {})
