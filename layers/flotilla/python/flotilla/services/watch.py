"""When a task that nothing more happens to has got stuck: a pure function of where its log stands.

A task waits for a message. If that was lost (a process died between an event and the message that
follows from it), nothing in the log will ever say so; what says so is that time passes. Each status
has a time by which the next event is due; some patience beyond it, the reconciler sends the message again.

Most tasks never get that far, and pay nothing: what is queued or running within its first hour is not
on the watchlist. The reconciler's sweeps find what stays so.
"""

from __future__ import annotations

from flotilla.events import TaskState
from flotilla.models import Status

DUE_PATIENCE_SECONDS = 120
"""How long after its time a delayed task's message may still be on its way."""

IDLE_PATIENCE_SECONDS = 600
"""How long a task may be queued, or run beyond its lease, before its message counts as lost."""

YOUNG_SECONDS = 3600
"""What is queued or running so soon after it was accepted is left to the sweeps."""

_DUE = frozenset({Status.SCHEDULED, Status.RETRYING, Status.PARKED})


def overdue_at_ms(state: TaskState) -> int | None:
    """When the task has got stuck, if nothing happens until then; None for one that waits for no message."""
    if state.status.terminal or state.status is Status.WAITING:
        return None
    idle_ms = state.head_at_ms + IDLE_PATIENCE_SECONDS * 1000
    if state.status in _DUE:
        due_ms = state.due_at_ms if state.status is Status.SCHEDULED else state.next_attempt_ms
        return idle_ms if due_ms is None else due_ms + DUE_PATIENCE_SECONDS * 1000
    if state.lease_until_ms is not None:
        return max(idle_ms, state.lease_until_ms + DUE_PATIENCE_SECONDS * 1000)
    return idle_ms


def look_at_ms(state: TaskState) -> int | None:
    """When the reconciler is to look after the task: `Entry.look_at_ms`."""
    if state.status not in _DUE and state.head_at_ms - state.created_at_ms < YOUNG_SECONDS * 1000:
        return None
    return overdue_at_ms(state)
