"""When a task that nothing more happens to has got stuck: a pure function of where its log stands.

A task waits for a message, or for a signal and when its time is over for a message. If that was lost (a process died
between an event and the message that follows from it), nothing in the log will ever say so; what says so is that time
passes. Each status has a time by which the next event is due; some patience beyond it, the reconciler sends the message
again.

Most tasks never get that far, and pay nothing: what is queued or running within its first hour is not
on the watchlist. The reconciler's sweeps find what stays so.

A run of a workflow waits for its execution. It may go on for long, and nothing is the matter; so it is asked after now
and then, and when its deadline has passed. One that left tasks behind is looked after once more.
"""

from __future__ import annotations

from flotilla.events import Kind, TaskState
from flotilla.models import Status
from flotilla.services.run_state import leaves_tasks
from flotilla.workflows.order import is_run

DUE_PATIENCE_SECONDS = 120
"""How long after its time a delayed task's message may still be on its way."""

IDLE_PATIENCE_SECONDS = 600
"""How long a task may be queued, or run beyond its lease, before its message counts as lost."""

YOUNG_SECONDS = 3600
"""What is queued or running so soon after it was accepted is left to the sweeps."""

REMAINS_SECONDS = 60
"""How long after the end of a run what it left is looked for once more: by then the read model knows its tasks."""

_DUE = frozenset({Status.SCHEDULED, Status.RETRYING, Status.PARKED})
_LOOKED_AFTER = _DUE | {Status.WAITING}
_ENDS_OF_WAITS = frozenset({Kind.SIGNALLED, Kind.RESUMED})
"""Who was answered that a signal was given need not give it again: what follows from it is looked after soon."""


def overdue_at_ms(state: TaskState) -> int | None:
    """When the task has got stuck, if nothing happens until then; None for one that waits for no message."""
    if state.status.terminal:
        return None
    if state.status is Status.WAITING:
        ends_ms = state.wait_ends_ms
        return None if ends_ms is None else ends_ms + DUE_PATIENCE_SECONDS * 1000
    idle_ms = state.head_at_ms + IDLE_PATIENCE_SECONDS * 1000
    if is_run(state.agent):
        return idle_ms if state.deadline_ms is None else min(idle_ms, state.deadline_ms)
    if state.status in _DUE:
        due_ms = state.due_at_ms if state.status is Status.SCHEDULED else state.next_attempt_ms
        return idle_ms if due_ms is None else due_ms + DUE_PATIENCE_SECONDS * 1000
    if state.lease_until_ms is not None:
        return max(idle_ms, state.lease_until_ms + DUE_PATIENCE_SECONDS * 1000)
    return idle_ms


def look_at_ms(state: TaskState) -> int | None:
    """When the reconciler is to look after the task: `Entry.look_at_ms`."""
    if leaves_tasks(state):
        return state.head_at_ms + REMAINS_SECONDS * 1000
    if is_run(state.agent) and state.deadline_ms is not None:
        return overdue_at_ms(state)
    if (
        state.status not in _LOOKED_AFTER
        and state.head_kind not in _ENDS_OF_WAITS
        and state.head_at_ms - state.created_at_ms < YOUNG_SECONDS * 1000
    ):
        return None
    return overdue_at_ms(state)
