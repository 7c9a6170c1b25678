"""What the read model holds of a task, and what it can be asked for.

An entry follows from the fold of a task's log and from nothing else, so that it can be rebuilt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from flotilla.models import Status

UNREADABLE = "~unreadable"
"""Stands where an agent's name would, for messages that stand for no task. No agent can be called so."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a task was dead-lettered, in a form that is the same for failures that are alike.

    Attributes:
        fingerprint: 16 hex digits, made of agent and text.
        text: The error's code and message, with what differs from task to task taken out.
    """

    fingerprint: str
    text: str


class Spent(NamedTuple):
    """What a task's attempts used of models, as far as they said; the cost in millionths of a dollar."""

    model_calls: int
    input_tokens: int
    output_tokens: int
    cost_micros: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One task in the read model.

    Attributes:
        head_seq: Number of the event up to which the log was folded. Attempts and steps under way are left out.
        next_at_ms: While scheduled, retrying or parked, when it is due; while waiting, when it goes on all the same.
        cause: While dead-lettered, why.
        message: While dead-lettered, the error's own words.
        archive_key: Where its finished log is archived, once it is.
        look_at_ms: When the reconciler looks after it if nothing has happened by then (`services.watch.look_at_ms`).
            None for what has ended (but not for a run that may have left tasks, until these are ended), and for what is
            young: of that the sweeps learn.
        head_hash: Hash of the event up to which the log was folded (hex), so that a log cut off behind it is found out.
        run: Id of the workflow's run that it is a task of.
        step: The state that asked for it.
        spent: Of such a task; None where no model was called.
        is_run: It is itself a run of a workflow.
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
    look_at_ms: int | None = None
    head_hash: str = ""
    run: str | None = None
    step: str | None = None
    spent: Spent | None = None
    is_run: bool = False


@dataclass(frozen=True, slots=True)
class Watched:
    """An entry that is on the watchlist.

    Attributes:
        head_seq: Number of the event up to which its log was folded.
        looks: How often the reconciler has found it stuck since that event.
    """

    task_id: str
    tenant: str
    created_at_ms: int
    head_seq: int
    looks: int = 0


@dataclass(frozen=True, slots=True)
class SweepMark:
    """How far the reconciler has got with one of its sweeps over young entries.

    Attributes:
        done_ms: Whatever was created before has been looked at.
        until_ms: What was created from then until this time is being looked at; `done_ms` where nothing is.
        tenant: The tenant to go on with; empty for the first.
        cursor: Where to go on among that tenant's entries; empty for the first.
    """

    done_ms: int
    until_ms: int
    tenant: str = ""
    cursor: str = ""


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
    """Which of a tenant's entries; None filters nothing. `created_before_ms` is exclusive, `after` inclusive.

    Attributes:
        finished: Only those whose task has ended, or only the others.
        archived: Only those whose log is archived, or only the others.
    """

    tenant: str
    status: Status | None = None
    agent: str | None = None
    lane: str | None = None
    session: str | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None
    finished: bool | None = None
    archived: bool | None = None


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which of the tasks of a workflow's run.

    Attributes:
        finished: Only those that have ended, or only the others.
        oldest_first: In the order of their creation; else the newest comes first.
    """

    tenant: str
    run: str
    step: str | None = None
    finished: bool | None = None
    oldest_first: bool | None = None


@dataclass(frozen=True, slots=True)
class RunsFilter:
    """Which of a tenant's runs of workflows.

    Attributes:
        agent: `workflow:` and the workflow's name.
        finished: Only those that have ended, or only the others.
    """

    tenant: str
    agent: str | None = None
    status: Status | None = None
    finished: bool | None = None


@dataclass(frozen=True, slots=True)
class DeadFilter:
    """Which dead letters.

    Attributes:
        agent: An agent's name, or `UNREADABLE` for the messages that stand for no task.
        cause: A cause's fingerprint or its text.
    """

    agent: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class EntryPage:
    """A page of entries; with a cursor there may be more, even where there are no items."""

    items: list[Entry | UnreadableMessage]
    next_cursor: str | None
