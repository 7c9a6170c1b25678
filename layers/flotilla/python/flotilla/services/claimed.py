"""What can come of claiming a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flotilla.events import Event
from flotilla.events.waits import WaitEnd
from flotilla.models import Payload, TaskMessage
from flotilla.primitives.lease import GRACE_SECONDS
from flotilla.services.callbacks import Ended
from flotilla.services.journal import Journal


@dataclass(frozen=True, slots=True)
class Claimed:
    """The task is ours.

    Attributes:
        message: The task as its log stood before the start.
        steps: What earlier attempts recorded.
        waits: How their waits ended.
        charged: Earlier attempts that count against `max_attempts`.
        started_ms: When the start was dated, before it was written.
        ends_ms: When the agent is stopped.
    """

    message: TaskMessage
    journal: Journal
    input: Payload
    steps: dict[str, Payload]
    waits: Mapping[str, WaitEnd]
    attempt: int
    charged: int
    max_attempts: int
    started_ms: int
    ends_ms: int
    lease_until_ms: int

    @property
    def put_aside(self) -> int:
        """Earlier attempts that neither count nor came to wait for a signal: what they needed was not there."""
        return max(0, self.attempt - 1 - self.charged - len(self.waits))

    def late(self, now_ms: int) -> bool:
        """The log took so long over the start that the agent would be stopped for lack of time, not for its own."""
        return now_ms - self.started_ms > GRACE_SECONDS * 1000


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing is left to do for this message.

    Attributes:
        succeeded: The event that ended the task, if it succeeded: what follows from it may not have been done.
        ended: How a worker ended the task, where a workflow's state waits for that: it may not have been told.
    """

    why: str
    succeeded: Event | None = None
    ended: Ended | None = None


@dataclass(frozen=True, slots=True)
class NotNow:
    """Someone else is at work, or it is too early."""

    after_seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The task is not due for a while; this message is done once `message` is dispatched.

    Attributes:
        in_order: It keeps its place in its session meanwhile.
    """

    message: TaskMessage
    in_order: bool = True


@dataclass(frozen=True, slots=True)
class Suspect:
    """The worker before us died over it: to be run when nothing else shares the process."""


@dataclass(frozen=True, slots=True)
class Unlogged:
    """The message speaks of a task that has no log."""


Claim = Claimed | Finished | NotNow | Elsewhere | Suspect | Unlogged
