"""A history, arranged for the rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from flotilla.errors import CorruptLogError
from flotilla.events import Event, Kind, TaskState, fold
from tests.simulation.history import Answer, History, Run, Written
from tests.simulation.processes import EPOCH_MS
from tests.simulation.workload import Submit
from tests.simulation.world import World

ENDS = frozenset({Kind.SUCCEEDED, Kind.DEAD_LETTERED, Kind.CANCELLED, Kind.EXPIRED})
UNDER_WAY = frozenset({Kind.STARTED, Kind.STEP_RECORDED})
EPSILON_SECONDS = 0.002
"""Clocks tell whole milliseconds."""


@dataclass(frozen=True)
class Violation:
    """A rule that was broken.

    Attributes:
        rule: Its name.
        what: By what.
    """

    rule: str
    what: str


@dataclass
class Life:
    """A task from its acceptance, or from a redrive, to its end.

    Attributes:
        asked: When its client first asked for it; None where nobody was answered.
        answered: When the client was answered.
        first: The first event by which it went on: a start, or an answer without one.
        end: The event that ended it.
    """

    events: list[Written]
    asked: float | None = None
    answered: float | None = None
    first: Written | None = None
    end: Written | None = None


@dataclass
class Task:
    """One task of the history.

    Attributes:
        submit: What the client asked for.
        written: Its log, in order.
        runs: Of its agent's code, in order.
        lives: One more than its redrives.
    """

    submit: Submit
    written: list[Written]
    runs: list[Run]
    answer: Answer | None
    lives: list[Life] = field(default_factory=list)

    @property
    def task_id(self) -> str:
        return self.submit.task_id

    @property
    def name(self) -> str:
        """For people."""
        return f"task {self.submit.number} ({self.task_id[:8]})"

    @cached_property
    def events(self) -> list[Event]:
        return [written.event for written in self.written]

    @cached_property
    def state(self) -> TaskState | None:
        """Its fold; None where its log is not whole."""
        try:
            return fold(self.events)
        except CorruptLogError:
            return None

    def has(self, kind: Kind) -> bool:
        return any(event.kind is kind for event in self.events)

    def at(self, moment: float) -> Sequence[Written]:
        """Its log as it stood just before a moment."""
        return [written for written in self.written if written.at < moment]


class Case:
    """All that the rules look at."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.history: History = world.history
        self.faults = world.faults
        self.tasks: dict[str, Task] = {}
        logs: dict[str, list[Written]] = {}
        for written in self.history.written:
            logs.setdefault(written.event.task_id, []).append(written)
        runs: dict[str, list[Run]] = {}
        for run in self.history.runs:
            runs.setdefault(run.task_id, []).append(run)
        answers = {answer.task_id: answer for answer in reversed(self.history.answers) if answer.what == "submit"}
        for submit in world.workload.tasks.values():
            task_id = submit.task_id
            if task_id in logs:
                log = sorted(logs[task_id], key=_seq)
                self.tasks[task_id] = Task(submit, log, runs.get(task_id, []), answers.get(task_id))
                self._lives(self.tasks[task_id])

    def _lives(self, task: Task) -> None:
        asked = self.history.asked.get(task.submit.number)
        answered = None if task.answer is None else task.answer.answered
        lives = [Life([], asked, answered)]
        redrives = iter(
            answer
            for answer in self.history.answers
            if answer.what == "redrive" and answer.task_id == task.task_id and answer.value.changed
        )
        for written in task.written:
            kind = written.event.kind
            if kind is Kind.REDRIVEN:
                # Who was answered that he redrove it need not be the one whose event this is; with one redrive he is.
                redrive = next(redrives, None)
                lives.append(
                    Life([], None if redrive is None else redrive.asked, None if redrive is None else redrive.answered)
                )
            life = lives[-1]
            life.events.append(written)
            if kind in ENDS:
                life.end = written
            if life.first is None and kind in (Kind.STARTED, Kind.SUCCEEDED):
                life.first = written
        task.lives = lives

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks.values())


def _seq(written: Written) -> int:
    return written.event.seq


def true_ms(seconds: float) -> int:
    """What a right clock showed."""
    return EPOCH_MS + int(seconds * 1000)
