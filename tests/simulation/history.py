"""What happened in one history, as an observer outside of the system saw it, in right time.

The system knows nothing of this record, and no decision of it depends on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from flotilla.events import Event


@dataclass(slots=True)
class Written:
    """An event reached the log.

    Attributes:
        at: Virtual seconds.
        decided: When its writer first tried to write it.
        process: Who wrote it.
    """

    at: float
    decided: float
    event: Event
    process: str


@dataclass(slots=True)
class Run:
    """The code of an agent ran.

    Attributes:
        ended: None while it runs; the end of its process is its end.
        key: What identical tasks share.
    """

    task_id: str
    attempt: int
    agent: str
    process: str
    key: str
    began: float
    ended: float | None = None
    ending: str = ""
    turns_seen: list[Any] | None = None


@dataclass(slots=True)
class Effect:
    """An agent did something to the world outside."""

    at: float
    task_id: str
    attempt: int
    step: str
    key: str


@dataclass(slots=True)
class StepRun:
    """The function of a durable step began."""

    at: float
    task_id: str
    attempt: int
    step: str


@dataclass(slots=True)
class Answer:
    """A client was answered.

    Attributes:
        asked: When the client first asked.
        answered: When it was told.
        what: The operation.
        number: The task's number in the workload.
        value: What it was told.
    """

    what: str
    number: int
    asked: float
    answered: float
    task_id: str
    value: Any = None


@dataclass(slots=True)
class Deleted:
    """A message was taken off a queue for good.

    Attributes:
        elsewhere: Another message of the same task lay in some queue at that time.
        finished: The task had ended, by its log; or waited for a signal; or it was being redriven or signalled, which
            brings a message of its own.
    """

    at: float
    queue: str
    task_id: str
    elsewhere: bool
    finished: bool


@dataclass(slots=True)
class PauseSpan:
    """A pause was in force in the store.

    Attributes:
        until: None while it is.
    """

    scope: str
    name: str
    since: float
    until: float | None = None


@dataclass(slots=True)
class History:
    """Everything observed.

    Attributes:
        buried: Tasks of which a lane's queue moved a message to the dead letters.
    """

    written: list[Written] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    step_runs: list[StepRun] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    asked: dict[int, float] = field(default_factory=dict)
    deleted: list[Deleted] = field(default_factory=list)
    buried: set[str] = field(default_factory=set)
    pauses: list[PauseSpan] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    replaced: list[tuple[float, Event, Event]] = field(default_factory=list)
    decided: dict[str, float] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def of_task(self, task_id: str) -> list[Written]:
        """What was written to one task's log, as it was written."""
        return [written for written in self.written if written.event.task_id == task_id]

    def accepted(self) -> Iterable[Answer]:
        """The answers that promised a task."""
        return (answer for answer in self.answers if answer.what == "submit")
