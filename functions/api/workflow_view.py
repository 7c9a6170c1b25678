"""A run of a workflow as clients see it: every member of the contract, always, null where it is not known."""

from __future__ import annotations

from typing import Any

from flotilla.clock import rfc3339
from flotilla.events import TaskState
from flotilla.models import Status
from flotilla.read_model import Spent
from flotilla.services.listing import Listed
from flotilla.services.run_reading import RunPicture, StepPicture
from flotilla.services.run_state import asked_lane
from flotilla.workflow_ports import MapProgress
from flotilla.workflows.order import workflow_of
from functions.api.task_view import TaskViews, in_list, task_path

_ENDS = {
    Status.SUCCEEDED: "succeeded",
    Status.DEAD_LETTERED: "failed",
    Status.CANCELLED: "cancelled",
    Status.EXPIRED: "expired",
}

ENDED_AS = {told: status for status, told in _ENDS.items()}
"""The status of a run's task, by the run's own."""


def run_path(run_id: str) -> str:
    """Where a run is found."""
    return f"/v1/workflows/{run_id}"


class RunViews:
    """Shows runs.

    Args:
        tasks: Shows what runs have like all tasks.
    """

    def __init__(self, tasks: TaskViews) -> None:
        self._tasks = tasks

    async def show(self, picture: RunPicture, lane: str | None) -> dict[str, Any]:
        """A run with its steps.

        Args:
            picture: The run.
            lane: That its client asked for.

        Raises:
            StoreUnavailableError: The payload store did not answer.
        """
        state = picture.state
        view = _view(state, lane) | await self._tasks.values(state)
        return view | {
            "usage": _usage(picture.spent, complete=picture.complete),
            "steps": [_step(step, complete=picture.complete) for step in picture.steps],
            "maps": [_map(progress) for progress in picture.maps],
        }

    def show_in_list(self, run: Listed) -> dict[str, Any]:
        """A run as one of many: a value that is not small is null, and named by `omitted`."""
        return in_list(run.state, _view(run.state, asked_lane(run.events[0])))


def _view(state: TaskState, lane: str | None) -> dict[str, Any]:
    path = run_path(state.task_id)
    return {
        "id": state.task_id,
        "workflow": workflow_of(state.agent),
        "version": state.agent_version,
        "tenant": state.tenant,
        "lane": lane,
        "status": _ENDS.get(state.status, "running"),
        "created_at": rfc3339(state.created_at_ms),
        "finished_at": _time(state.finished_at_ms),
        "deadline": _time(state.deadline_ms),
        "budget_usd": None if state.budget_micros is None else state.budget_micros / 1_000_000,
        "input": None,
        "output": None,
        "error": None if state.error is None else state.error.to_json(),
        "labels": state.labels,
        "links": {
            "self": path,
            "tasks": f"{path}/tasks",
            "events": f"{path}/events",
            "task": task_path(state.task_id),
        },
    }


def _step(step: StepPicture, *, complete: bool) -> dict[str, Any]:
    status = step.status
    return {
        "name": step.spec.name,
        "agent": step.spec.agent,
        "map": step.spec.map,
        "status": "pending" if status is None else "failed" if status is Status.DEAD_LETTERED else status.value,
        "tasks": step.tasks,
        "counts": {status.value: step.counts[status] for status in Status if step.counts[status]},
        "task_ids": step.newest,
        "complete": complete,
    }


def _map(progress: MapProgress) -> dict[str, Any]:
    return {
        "step": progress.state,
        "total": progress.total,
        "pending": progress.pending,
        "running": progress.running,
        "succeeded": progress.succeeded,
        "failed": progress.failed,
    }


def _usage(spent: Spent, *, complete: bool) -> dict[str, Any]:
    return {
        "model_calls": spent.model_calls,
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "cost_usd": spent.cost_micros / 1_000_000,
        "complete": complete,
    }


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)
