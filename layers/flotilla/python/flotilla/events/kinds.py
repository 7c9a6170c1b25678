"""The kinds of event, and the status each leaves a task in."""

from __future__ import annotations

from enum import StrEnum

from flotilla.models import Status


class Kind(StrEnum):
    """What happened. Every kind is written by exactly one conditional append."""

    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    STARTED = "started"
    STEP_RECORDED = "step_recorded"
    ATTEMPT_FAILED = "attempt_failed"
    PARKED = "parked"
    RESUMED = "resumed"
    WAITING = "waiting"
    SIGNALLED = "signalled"
    SUCCEEDED = "succeeded"
    DEAD_LETTERED = "dead_lettered"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REDRIVEN = "redriven"


STATUS_AFTER: dict[Kind, Status] = {
    Kind.ACCEPTED: Status.QUEUED,
    Kind.SCHEDULED: Status.SCHEDULED,
    Kind.STARTED: Status.RUNNING,
    Kind.STEP_RECORDED: Status.RUNNING,
    Kind.ATTEMPT_FAILED: Status.RETRYING,
    Kind.PARKED: Status.PARKED,
    Kind.RESUMED: Status.QUEUED,
    Kind.WAITING: Status.WAITING,
    Kind.SIGNALLED: Status.QUEUED,
    Kind.SUCCEEDED: Status.SUCCEEDED,
    Kind.DEAD_LETTERED: Status.DEAD_LETTERED,
    Kind.CANCELLED: Status.CANCELLED,
    Kind.EXPIRED: Status.EXPIRED,
    Kind.REDRIVEN: Status.QUEUED,
}
