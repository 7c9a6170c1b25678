"""Judges a run by what the event log says and what the sink saw."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.chaos.sink import Sink
from benchmarks.chaos.workload import Plan, Planned
from flotilla.dynamo.event_log import from_item
from flotilla.errors import CorruptLogError
from flotilla.events import Event, Kind, TaskState, fold, verify_chain
from local.clients import client
from local.instance import LocalInfo

_TERMINAL = {Kind.SUCCEEDED, Kind.DEAD_LETTERED, Kind.CANCELLED, Kind.EXPIRED}


@dataclass(slots=True)
class Tally:
    """The count.

    Attributes:
        statuses: How tasks ended.
        kinds: Events by kind.
        violations: What must never be; empty where all is well.
    """

    tasks: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    effects: int = 0
    posts: int = 0
    violations: list[str] = field(default_factory=list)


def read_logs(info: LocalInfo) -> dict[str, list[Event]]:
    """Every task's log, in order."""
    pages = client("dynamodb", info.engine_url).get_paginator("scan")
    logs: dict[str, list[Event]] = {}
    for page in pages.paginate(TableName=info.outputs["EventsTable"], ConsistentRead=True):
        for item in page["Items"]:
            event = from_item(item)
            logs.setdefault(event.task_id, []).append(event)
    return {task_id: sorted(events, key=lambda event: event.seq) for task_id, events in logs.items()}


def unfinished(info: LocalInfo, work: Plan) -> int:
    """How many of the planned tasks have not ended."""
    logs = read_logs(info)
    return sum(
        task.task_id is None or logs.get(task.task_id, [])[-1:] == [] or logs[task.task_id][-1].kind not in _TERMINAL
        for task in work.tasks
    )


def judge(info: LocalInfo, work: Plan, sink: Sink) -> Tally:
    """Count, and find what must never be."""
    logs = read_logs(info)
    order = sink.order()
    tally = Tally(tasks=len(work.tasks), posts=sink.posts)
    states: dict[str, TaskState] = {}
    for task in work.tasks:
        if task.task_id is None or task.task_id not in logs:
            tally.violations.append(f"{task.key}: accepted and lost")
            continue
        events = logs[task.task_id]
        try:
            verify_chain(events)
            state = states[task.key] = fold(events)
        except CorruptLogError as error:
            tally.violations.append(str(error))
            continue
        tally.statuses[state.status.value] += 1
        tally.kinds.update(event.kind.value for event in events)
        tally.attempts += sum(event.kind is Kind.STARTED for event in events)
        _judge_task(task, events, state, order, tally)
    for session in work.sessions:
        _judge_session(session, logs, order, tally)
    tally.effects = sum(_effect_key(task) in order for task in work.tasks)
    strangers = len(order) - tally.effects
    if strangers:
        tally.violations.append(f"{strangers} effects by no task's idempotency key")
    return tally


def _judge_task(task: Planned, events: Sequence[Event], state: TaskState, order: dict[str, int], tally: Tally) -> None:
    ends = [event for event in events if event.kind in _TERMINAL]
    if len(ends) != 1:
        tally.violations.append(f"{task.task_id}: {len(ends)} terminal events")
    if state.attempts_charged > state.max_attempts:
        tally.violations.append(f"{task.task_id}: {state.attempts_charged} attempts charged of {state.max_attempts}")
    if state.status.value != "succeeded":
        tally.violations.append(f"{task.task_id}: {state.status.value}: {state.error}")
    if state.status.value == "succeeded" and _effect_key(task) not in order:
        tally.violations.append(f"{task.task_id}: succeeded without its effect")
    early = [event for event in events if event.kind is Kind.STARTED and event.at_ms < (state.due_at_ms or 0)]
    if early:
        tally.violations.append(f"{task.task_id}: started {(state.due_at_ms or 0) - early[0].at_ms} ms early")


def _judge_session(
    session: Sequence[Planned], logs: dict[str, list[Event]], order: dict[str, int], tally: Tally
) -> None:
    found = [logs[task.task_id] for task in session if task.task_id in logs]
    for before, after in itertools.pairwise(found):
        starts = [event.at_ms for event in after if event.kind is Kind.STARTED]
        if starts and starts[0] < before[-1].at_ms:
            tally.violations.append(f"{after[0].task_id}: started before {before[0].task_id} of its session ended")
    ranks = [order[_effect_key(task)] for task in session if _effect_key(task) in order]
    if ranks != sorted(ranks):
        tally.violations.append(f"session {session[0].session}: effects out of order")


def _effect_key(task: Planned) -> str:
    """What `ctx.idempotency_key("effect")` is for the task."""
    return hashlib.sha256(f"{task.task_id}\0effect".encode()).hexdigest()[:32]
