"""What the read model holds of a task, and what it can be asked for.

An entry follows from the fold of a task's log and from nothing else, so that it can be rebuilt.
"""

from __future__ import annotations

from dataclasses import dataclass

from flotilla.models import Status


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a task was dead-lettered, in a form that is the same for failures that are alike.

    Attributes:
        fingerprint: 16 hex digits, made of agent and text.
        text: The error's code and message, with what differs from task to task taken out.
    """

    fingerprint: str
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One task in the read model.

    Attributes:
        head_seq: Number of the event up to which the log was folded.
        next_at_ms: While scheduled, retrying or parked, when it is due.
        cause: While dead-lettered, why.
        message: While dead-lettered, the error's own words.
        archive_key: Where its finished log is archived, once it is.
    """

    task_id: str
    tenant: str
    agent: str
    lane: str
    session: str | None
    status: Status
    attempt: int
    created_at_ms: int
    head_seq: int
    head_at_ms: int
    next_at_ms: int | None = None
    finished_at_ms: int | None = None
    cause: Cause | None = None
    message: str | None = None
    archive_key: str | None = None


@dataclass(frozen=True, slots=True)
class UnreadableMessage:
    """A message from a dead letter queue that stands for no task.

    Attributes:
        message_id: SQS's id of it.
        body: As it lay on the lane.
        reason: Why it cannot be worked on.
    """

    message_id: str
    lane: str
    body: str
    reason: str
    received_at_ms: int


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which of a tenant's entries; None filters nothing. `created_before_ms` is exclusive, `after` inclusive."""

    tenant: str
    status: Status | None = None
    agent: str | None = None
    lane: str | None = None
    session: str | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None


@dataclass(frozen=True, slots=True)
class DeadFilter:
    """Which dead letters.

    Attributes:
        cause: A cause's fingerprint or its text.
    """

    agent: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class EntryPage:
    """A page of entries; with a cursor there may be more, even where there are no items."""

    items: list[Entry | UnreadableMessage]
    next_cursor: str | None
