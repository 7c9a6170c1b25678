"""Where a task's log stands, as far as claiming the task needs to know: from its message, or from the log itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flotilla.events import Event, Kind, TaskState
from flotilla.events.waits import WaitEnd
from flotilla.models import Payload, TaskMessage


@dataclass(frozen=True, slots=True)
class Parked:
    """The newest event says that the task waits.

    Attributes:
        reason: For what.
        since_ms: Since when.
    """

    reason: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What the next event follows.

    Attributes:
        attempt: Number of the newest attempt.
        charged: Attempts that count against `max_attempts`, one that was just lost included.
        steps: What earlier attempts recorded.
        waits: How their waits ended.
        lost: The attempt that ended with its process, and its worker.
        parked: What the task waits for.
    """

    head_seq: int
    head_hash: str
    attempt: int
    charged: int
    max_attempts: int
    input: Payload
    steps: dict[str, Payload]
    lost: dict[str, Any] | None = None
    parked: Parked | None = None
    waits: Mapping[str, WaitEnd] = field(default_factory=dict)


def standing_of_message(message: TaskMessage) -> Standing:
    """What the message says: true if nothing has happened since it was sent."""
    return Standing(
        head_seq=message.seq,
        head_hash=message.hash,
        attempt=message.attempt,
        charged=message.charged,
        max_attempts=message.max_attempts,
        input=message.input,
        steps={},
    )


def standing_of_log(state: TaskState, events: Sequence[Event]) -> Standing:
    """What the log says.

    Args:
        state: The fold of `events`.
        events: The log.
    """
    head = events[-1]
    return Standing(
        head_seq=state.head_seq,
        head_hash=state.head_hash,
        attempt=state.attempt,
        charged=state.charge_if_lost(),
        max_attempts=state.max_attempts,
        input=state.input,
        steps=state.steps,
        lost={"attempt": state.attempt, "worker": state.worker} if state.attempt_lost() else None,
        parked=Parked(str(head.body.get("reason")), head.at_ms) if head.kind is Kind.PARKED else None,
        waits=state.waits,
    )
