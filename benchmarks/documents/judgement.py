"""Judges a run by what three witnesses say, of whom none was told by another.

The report in S3 has a line for each document, which names the task of each of its steps. The event log has those tasks
and no others, each with one success. Step Functions' own history has each state of each document done once: it is told
by the service that waited, not by the workers that answered it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from benchmarks.documents.variety import Varied
from flotilla.errors import CorruptLogError
from flotilla.events import Event, Kind, TaskState, fold
from flotilla.models import Status
from flotilla.services.verify import verify_log
from flotilla.workflows.order import RUN_AGENT
from tests.simulation.rules import lives, logs
from tests.simulation.rules.case import Case

STEPS = ("Extract", "Classify", "Summarize")
"""What is done to each document."""

_ENDS = frozenset({Kind.SUCCEEDED, Kind.DEAD_LETTERED, Kind.CANCELLED, Kind.EXPIRED})
_RULES = (logs.fenced, lives.counted)
"""The simulation's rules that need no more than a log."""


@dataclass(slots=True)
class Judgement:
    """What a run came to.

    Attributes:
        lines: Of the report.
        done: Documents that the report calls done.
        judged: Documents of which it is known what class they are; `right`: those that were found to be of it.
        tasks: Of the run, by step.
        attempts: Started, of the run's tasks.
        retried: Attempts after a task's first.
        taken_over: Of these, those after a worker that was lost.
        events: Of all logs.
        logs: How many there are.
        histories: Documents whose states Step Functions' history was asked of.
        violations: What must never be; empty where all is well.
    """

    lines: int = 0
    done: int = 0
    judged: int = 0
    right: int = 0
    tasks: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    retried: int = 0
    taken_over: int = 0
    events: int = 0
    logs: int = 0
    histories: int = 0
    violations: list[str] = field(default_factory=list)


def judge(
    all_logs: Mapping[str, Sequence[Event]],
    run_id: str,
    documents: Sequence[Varied],
    report: str,
    histories: Mapping[str, int],
) -> Judgement:
    """Count, and find what must never be.

    Args:
        all_logs: Every task's log, whoever's it is.
        run_id: The run.
        documents: What it was to do.
        report: The text of `report.jsonl`.
        histories: How many states each document's execution did, by Step Functions' history.
    """
    found = Judgement(logs=len(all_logs), events=sum(map(len, all_logs.values())), histories=len(histories))
    found.violations += log_violations(all_logs)
    own = {task_id: events for task_id, events in all_logs.items() if run_of(events) == run_id}
    found.tasks = Counter(str(events[0].body["workflow"]["step"]) for events in own.values())
    found.attempts = sum(_starts(events) for events in own.values())
    found.retried = sum(max(0, _starts(events) - 1) for events in own.values())
    found.taken_over = sum("takes_over" in event.body for events in own.values() for event in events)
    found.violations += run_violations(all_logs.get(run_id, ()))
    lines = list(_lines(report, found))
    found.lines, found.done = len(lines), sum(line.get("status") == "done" for line in lines)
    found.violations += report_violations(lines, documents)
    found.violations += step_violations(own, lines)
    found.violations += [
        f"{name}: Step Functions did {states} states for it"
        for name, states in histories.items()
        if states != len(STEPS)
    ]
    classes = {document.id: document.document_class for document in documents if document.document_class is not None}
    told = {line.get("id"): line.get("class") for line in lines}
    found.judged, found.right = len(classes), sum(told.get(name) == kind for name, kind in classes.items())
    return found


def run_of(events: Sequence[Event]) -> str | None:
    """The run that a task was made for, by its log; None where it was made for none."""
    step = events[0].body.get("workflow")
    return step.get("run") if isinstance(step, dict) else None


def log_violations(all_logs: Mapping[str, Sequence[Event]]) -> Iterator[str]:
    """Logs that are not whole, that end twice or not at all, or that break a rule of the simulation's checker."""
    whole: list[_Logged] = []
    for task_id, events in all_logs.items():
        verification = verify_log(events)
        yield from (f"{task_id}: {finding.what}" for finding in verification.findings)
        if not verification.whole:
            continue
        whole.append(_Logged(task_id, list(events)))
        ends = sum(event.kind in _ENDS for event in events) - sum(event.kind is Kind.REDRIVEN for event in events)
        if ends != 1 or events[-1].kind not in _ENDS:
            yield f"{task_id}: {ends} ends, the newest event is {events[-1].kind}"
    # A run is ended by who did not start it: Step Functions does it.
    tasks = [each for each in whole if not each.state.agent.startswith(RUN_AGENT)]
    for rule in _RULES:
        yield from (violation.what for violation in rule(cast(Case, tasks)))


def run_violations(events: Sequence[Event]) -> Iterator[str]:
    """What is wrong with a run that should have succeeded."""
    if not events:
        yield "the run was accepted and lost"
        return
    try:
        state = fold(list(events))
    except CorruptLogError as error:
        yield error.message
        return
    if state.status is not Status.SUCCEEDED:
        yield f"the run {state.status}: {state.error}"


def report_violations(lines: Iterable[Mapping[str, Any]], documents: Sequence[Varied]) -> Iterator[str]:
    """Documents that are missing in the report, in it twice, strange to it, or not done."""
    told = Counter(str(line.get("id")) for line in lines)
    known = {document.id for document in documents}
    yield from (f"{name}: no line in the report" for name in sorted(known - told.keys()))
    yield from (f"{name}: in the report, and nobody sent it" for name in sorted(told.keys() - known))
    yield from (f"{name}: {count} lines in the report" for name, count in told.items() if count > 1)
    for line in lines:
        if line.get("status") != "done":
            yield f"{line.get('id')}: {line.get('status')}: {line.get('error')}: {line.get('message')}"


def step_violations(own: Mapping[str, Sequence[Event]], lines: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Steps of a document that were done by no task, by two, or more than once; and tasks of no document."""
    left = {(str(events[0].body["workflow"]["step"]), task_id) for task_id, events in own.items()}
    for line in lines:
        tasks = line.get("tasks") or {}
        for step in STEPS:
            task_id = str(tasks.get(step.lower()))
            events = own.get(task_id, ())
            if (step, task_id) not in left:
                yield f"{line.get('id')}: its {step} is no task of its own: {task_id}"
                continue
            left.remove((step, task_id))
            named = _document_of(events)
            if named is not None and named != line.get("id"):
                yield f"{line.get('id')}: its {step} is that of {named}"
            successes = sum(event.kind is Kind.SUCCEEDED for event in events)
            if successes != 1:
                yield f"{line.get('id')}: {successes} successes of {step} ({task_id})"
    yield from (f"{task_id}: a second {step} of some document" for step, task_id in sorted(left) if step in STEPS)


def _lines(report: str, found: Judgement) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(report.splitlines(), start=1):
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            yield value
        else:
            found.violations.append(f"line {number} of the report is none")


def _document_of(events: Sequence[Event]) -> str | None:
    """Of which document a task is, where its input is small enough to stand in its log."""
    inline = events[0].body["input"].get("inline")
    document = inline.get("document") if isinstance(inline, dict) else None
    return document.get("id") if isinstance(document, dict) else None


def _starts(events: Sequence[Event]) -> int:
    return sum(event.kind is Kind.STARTED for event in events)


@dataclass(frozen=True, slots=True)
class _Logged:
    """A task, as far as rules that look at logs look at it."""

    task_id: str
    events: list[Event]

    @property
    def name(self) -> str:
        return self.task_id

    @property
    def state(self) -> TaskState:
        return fold(self.events)
