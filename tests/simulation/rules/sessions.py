"""Sessions: one at a time, in the order of acceptance, with a memory that is what succeeded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

from flotilla.events import Kind
from tests.simulation.processes import drive
from tests.simulation.rules.case import EPSILON_SECONDS, Case, Life, Task, Violation

Lane = tuple[str, str, str]


def _by_lane(case: Case) -> dict[Lane, list[Task]]:
    """The tasks of each session on one lane, but those that a receive limit took out of the order."""
    found: dict[Lane, list[Task]] = {}
    for task in case:
        submit = task.submit
        if submit.session is not None:
            found.setdefault((submit.tenant, submit.session, submit.lane), []).append(task)
    return {lane: tasks for lane, tasks in found.items() if not _broken_up(case, tasks)}


def _broken_up(case: Case, tasks: list[Task]) -> bool:
    """A message that SQS handed out too often is no longer in its queue, and what is behind it goes on."""
    return any(task.task_id in case.history.buried for task in tasks)


def in_order(case: Case) -> Iterator[Violation]:
    """What was accepted first has ended before what was accepted after it begins; a redriven task is accepted anew.

    A task that has come to wait for a signal has left its place.
    """
    for (_, session, _), tasks in _by_lane(case).items():
        lives = [(task, life) for task in tasks for life in task.lives]
        for (one, first), (other, second) in combinations(lives, 2):
            for a, before, b, after in ((one, first, other, second), (other, second, one, first)):
                if a is not b and _precedes(before, after) and not _ordered(before, after):
                    yield Violation("order", f"session {session}: {b.name} began before {a.name} had ended")


def _precedes(before: Life, after: Life) -> bool:
    return before.answered is not None and after.asked is not None and before.answered < after.asked


def _ordered(before: Life, after: Life) -> bool:
    if after.first is None:
        return True
    left = next((written for written in before.events if written.event.kind is Kind.WAITING), before.end)
    return left is not None and left.at <= after.first.at


def one_at_a_time(case: Case) -> Iterator[Violation]:
    """The agents of a session never run side by side. One whose task was cancelled may not know it yet."""
    for (_, session, _), tasks in _by_lane(case).items():
        runs = sorted(
            ((run, task) for task in tasks if not task.has(Kind.CANCELLED) for run in task.runs),
            key=lambda each: each[0].began,
        )
        for (first, a), (second, b) in pairwise(runs):
            if a is not b and (first.ended is None or first.ended > second.began + EPSILON_SECONDS):
                yield Violation(
                    "session",
                    f"session {session}: {b.name} ran in {second.process} while {a.name} ran in {first.process}",
                )


def remembered(case: Case) -> Iterator[Violation]:
    """A session's memory is what its tasks added that succeeded, in the order in which they did, each once."""
    names = {(task.submit.tenant, session) for task in case if (session := task.submit.session) is not None}
    for tenant, session in sorted(names):
        tasks = [task for task in case if (task.submit.tenant, task.submit.session) == (tenant, session)]
        committed = sorted(
            (
                (life.end.at, task, life.end.event.body.get("turns", []))
                for task in tasks
                for life in task.lives
                if life.end is not None and life.end.event.kind is Kind.SUCCEEDED
            ),
            key=lambda each: each[0],
        )
        kept = [
            (turn.task_id, turn.position, turn.content.to_json())
            for turn in drive(case.world.turns.read(tenant, session))
        ]
        said = [(task.task_id, turn["position"], turn["content"]) for _, task, turns in committed for turn in turns]
        if sorted(kept, key=repr) != sorted(said, key=repr):
            yield Violation("memory", f"session {session}: {len(said)} turns were committed, {len(kept)} are kept")
            continue
        if len({task.submit.lane for task in tasks}) > 1 or _broken_up(case, tasks):
            continue  # side by side on two lanes: there is no order
        if kept != said or [position for _, position, _ in kept] != list(range(len(kept))):
            yield Violation("memory", f"session {session}: its turns are out of order: {[turn[:2] for turn in kept]}")
        yield from _seen(case, session, committed)


def _seen(case: Case, session: str, committed: list[tuple[float, Task, list[Any]]]) -> Iterator[Violation]:
    """Each task that succeeded saw what had been committed before it, and nothing else."""
    store = case.world.payload_of
    before: list[Any] = []
    for _, task, turns in committed:
        run = next((run for run in reversed(task.runs) if run.turns_seen is not None), None)
        if run is not None and turns and run.turns_seen != before:
            yield Violation("memory", f"session {session}: {task.name} saw {run.turns_seen}, committed was {before}")
        before += [store(turn["content"]) for turn in turns]


RULES = (in_order, one_at_a_time, remembered)
