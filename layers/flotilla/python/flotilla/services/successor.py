"""The event that would come next in a task's log, for who is no worker of it: a client, an operator, the triage.

Holds nothing: appended under the log's own condition, it is refused if anybody else wrote first.
"""

from __future__ import annotations

from typing import Any

from flotilla.events import Event, Kind, TaskState, chain


def successor(state: TaskState, kind: Kind, body: dict[str, Any], *, actor: str, at_ms: int) -> Event:
    """The event that follows the last one of `state`."""
    return chain(
        task_id=state.task_id,
        seq=state.head_seq + 1,
        kind=kind,
        at_ms=at_ms,
        actor=actor,
        attempt=state.attempt,
        body=body,
        prev_hash=state.head_hash,
    )
