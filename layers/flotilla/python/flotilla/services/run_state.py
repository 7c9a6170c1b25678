"""What a run's log and the name of its execution say of each other.

    accepted(0) ─┬─ succeeded(1)                          its execution is called <id>-0
                 ├─ cancelled(1), expired(1)
                 └─ dead_lettered(1) ── redriven(2) ── …  that of the redriven run <id>-2

Pure: a name follows from the event that a start begins with, and from nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from flotilla.events import Event, Kind, TaskState
from flotilla.models import Status
from flotilla.workflows.order import RunHeader, is_run, workflow_of

PREFIX = "wfl_"
"""What the id of a run begins with."""

_EXECUTION = re.compile(r"(wfl_[0-9a-f]{32})-([0-9]{1,9})")
_BEGINS = frozenset({Kind.ACCEPTED, Kind.REDRIVEN})
_LEAVING = frozenset({Status.CANCELLED, Status.EXPIRED, Status.DEAD_LETTERED})


def is_run_id(task_id: str) -> bool:
    """Whether it is a run's."""
    return task_id.startswith(PREFIX)


def begun_at(events: Sequence[Event]) -> Event:
    """The event that the newest start of a run begins with."""
    return next(event for event in reversed(events) if event.kind in _BEGINS)


def execution_name(run_id: str, begun_seq: int) -> str:
    """What the execution is called by which a run is done that began with this event; as its message's id."""
    return f"{run_id}-{begun_seq}"


def run_of_execution(name: str) -> tuple[str, int] | None:
    """The run and the event that it began with, by the name of the execution; None where that is no run's."""
    found = _EXECUTION.fullmatch(name)
    return None if found is None else (found[1], int(found[2]))


def header_of(state: TaskState, first: Event) -> RunHeader:
    """What all states of a run are told of it.

    Args:
        state: The run.
        first: Its event 0.
    """
    return RunHeader(
        run=state.task_id,
        tenant=state.tenant,
        name=workflow_of(state.agent),
        lane=asked_lane(first),
        depth=state.depth,
        root=state.root,
        deadline_ms=state.deadline_ms,
        trace=state.trace,
        webhook=state.webhook,
        labels=state.labels,
        budgets=state.budgets,
    )


def asked_lane(first: Event) -> str | None:
    """The lane that a run's client asked for; None where it left that to the states."""
    return str(first.body["lane"]) if first.body.get("lane_asked") else None


def leaves_tasks(state: TaskState) -> bool:
    """Whether it is a run that ended so that tasks of it may go on, for which nobody waits any more."""
    return is_run(state.agent) and state.status in _LEAVING
