"""Waits: each ends once, by whoever came first, and what was answered was heard."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from flotilla.events import Event, Kind
from tests.simulation.agents import TIMED_OUT
from tests.simulation.rules.case import Case, Task, Violation, true_ms

_ENDS = frozenset({Kind.SIGNALLED, Kind.RESUMED, Kind.CANCELLED, Kind.EXPIRED})
_ONLY_THEN = frozenset({Kind.SIGNALLED, Kind.RESUMED})


def ended_once(case: Case) -> Iterator[Violation]:
    """After `waiting` comes what ends the wait, and nothing else; and nothing ends a wait that there is not."""
    for task in case:
        for before, event in pairwise(task.events):
            waited = before.kind is Kind.WAITING
            if waited and event.kind not in _ENDS:
                yield Violation("waits", f"{task.name}: {event.kind} after waiting")
            elif not waited and event.kind in _ONLY_THEN:
                yield Violation("waits", f"{task.name}: {event.kind} after {before.kind}")
            elif event.kind in _ONLY_THEN and event.body.get("name", event.body.get("for")) != before.body["for"]:
                yield Violation("waits", f"{task.name}: {event.kind} of another wait")


def not_cut_short(case: Case) -> Iterator[Violation]:
    """No wait is over before its time: by its writer's clock, and by a right one but for the skew."""
    slack_ms = case.faults.plan.skew_seconds * 1000 + 2
    for task in case:
        for before, written in pairwise(task.written):
            if written.event.kind is Kind.RESUMED:
                until_ms = before.event.body["until_ms"]
                early = max(until_ms - written.event.at_ms, until_ms - slack_ms - true_ms(written.decided))
                if early > 0:
                    yield Violation("waits", f"{task.name}: the wait was over {early:.0f} ms before its time")


def heard(case: Case) -> Iterator[Violation]:
    """Who was answered that he signalled has, and nobody else has signalled anything else."""
    for answer in case.history.answers:
        if answer.what != "signal":
            continue
        payload, outcome = answer.value
        said = [event.body["payload"] for event in _of(case, answer.task_id) if event.kind is Kind.SIGNALLED]
        if payload not in said:
            yield Violation("waits", f"task {answer.number}: {payload} was answered, and is not in its log")
        elif outcome.changed and _of(case, answer.task_id)[outcome.state.head_seq].body.get("payload") != payload:
            yield Violation("waits", f"task {answer.number}: the client was told of a signal that there is not")


def _of(case: Case, task_id: str) -> list[Event]:
    return case.tasks[task_id].events


def told(case: Case) -> Iterator[Violation]:
    """A result is made of what the log says of the wait."""
    for task in case:
        if task.submit.wait is None or task.state is None or task.state.status != "succeeded":
            continue
        yield from _told(case, task)


def _told(case: Case, task: Task) -> Iterator[Violation]:
    assert task.state is not None and task.state.output is not None
    found = case.world.payload_of(task.state.output.to_json())["signal"]
    ends = list(task.state.waits.values())
    logged = [TIMED_OUT if end.timed_out else end.payload for end in ends]
    if [found] != logged:
        yield Violation("waits", f"{task.name} answered {found!r}, its log says {logged}")


RULES = (ended_once, not_cut_short, heard, told)
