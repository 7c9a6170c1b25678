"""What Step Functions remembers of a run: when it asked for each task and when it was answered, document by document.

It is another service than the event log, written by others, so it can contradict the log; and together they tell where
a document's time goes.

    Step Functions asks ── lane ── accepted … succeeded ── answer ── Step Functions is told, and comes to its next state
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flotilla.events import Event, Kind
from local.clients import client
from local.instance import LocalInfo

WORKFLOW = "document-analysis"

_ASKED = "TaskScheduled"
_TOLD = "TaskSucceeded"


@dataclass(frozen=True, slots=True)
class Child:
    """The execution that did a document, times in milliseconds since the epoch.

    Attributes:
        asked: When it asked for tasks, in order.
        told: When it was told how they succeeded, in order.
        failures: How often a state failed.
    """

    document: str
    began: float
    ended: float
    asked: tuple[float, ...]
    told: tuple[float, ...]
    failures: int


@dataclass(slots=True)
class Parts:
    """Where the time of documents went, in milliseconds of each document."""

    lane: list[float] = field(default_factory=list)
    work: list[float] = field(default_factory=list)
    answer: list[float] = field(default_factory=list)
    states: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)


def children_of(info: LocalInfo, run_id: str) -> list[Child]:
    """Every document's execution of a run."""
    service = client("stepfunctions", info.engine_url)
    machines = service.get_paginator("list_state_machines").paginate()
    machine = next(
        each["stateMachineArn"]
        for page in machines
        for each in page["stateMachines"]
        if each["name"].endswith(f"-{WORKFLOW}")
    )
    pages = service.get_paginator("list_executions")
    executions = [
        each["executionArn"]
        for page in pages.paginate(stateMachineArn=machine)
        for each in page["executions"]
        if each["name"].startswith(run_id)
    ]
    runs = [
        each["mapRunArn"]
        for execution in executions
        for page in service.get_paginator("list_map_runs").paginate(executionArn=execution)
        for each in page["mapRuns"]
    ]
    return [
        _child(service, each["executionArn"])
        for run in runs
        for page in pages.paginate(mapRunArn=run)
        for each in page["executions"]
    ]


def parts_of(children: Sequence[Child], logs: Mapping[str, Sequence[Event]], tasks: Mapping[str, list[str]]) -> Parts:
    """Where the time went.

    Args:
        children: What Step Functions says.
        logs: What the log says.
        tasks: The tasks of each document, in the order of its steps.
    """
    parts = Parts()
    for child in children:
        own = [logs[task_id] for task_id in tasks.get(child.document, []) if task_id in logs]
        if not len(own) == len(child.asked) == len(child.told):
            continue
        ends = [_ended_ms(events) for events in own]
        lane = sum(events[0].at_ms - asked for events, asked in zip(own, child.asked, strict=True))
        work = sum(end - events[0].at_ms for events, end in zip(own, ends, strict=True))
        answer = sum(told - end for told, end in zip(child.told, ends, strict=True))
        whole = child.ended - child.began
        parts.lane.append(lane)
        parts.work.append(work)
        parts.answer.append(answer)
        parts.whole.append(whole)
        parts.states.append(whole - lane - work - answer)
    return parts


def _child(service: Any, arn: str) -> Child:
    execution = service.describe_execution(executionArn=arn)
    events = list(_history(service, arn))
    return Child(
        document=str(json.loads(execution["input"])["document"]["id"]),
        began=_ms(execution["startDate"]),
        ended=_ms(execution["stopDate"]),
        asked=tuple(_ms(event["timestamp"]) for event in events if event["type"] == _ASKED),
        told=tuple(_ms(event["timestamp"]) for event in events if event["type"] == _TOLD),
        failures=sum(event["type"] == "TaskFailed" for event in events),
    )


def _history(service: Any, arn: str) -> Iterator[dict[str, Any]]:
    for page in service.get_paginator("get_execution_history").paginate(executionArn=arn, maxResults=1000):
        yield from page["events"]


def _ms(time: datetime) -> float:
    return time.timestamp() * 1000


def _ended_ms(events: Sequence[Event]) -> int:
    return next(event.at_ms for event in reversed(events) if event.kind is Kind.SUCCEEDED)
