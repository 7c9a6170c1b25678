"""The log: whole, written once, by who held the task."""

from __future__ import annotations

from collections.abc import Iterator

from flotilla.errors import CorruptLogError
from flotilla.events import Event, Kind, fold, verify_chain
from tests.simulation.rules.case import UNDER_WAY, Case, Violation


def whole(case: Case) -> Iterator[Violation]:
    """Gap-free, its hash chain whole, one end in each life, nothing after it; nothing ever replaced or taken out."""
    for at, before, after in case.history.replaced:
        yield Violation("log", f"{before.task_id}/{before.seq} {before.kind} was replaced by {after.kind} at {at:.3f}")
    for task_id, log in case.world.log.logs.items():
        events = [event for _, event in sorted(log.items())]
        try:
            verify_chain(events)
            fold(events)
        except CorruptLogError as error:
            yield Violation("log", error.message)
        if task_id not in case.tasks:
            yield Violation("log", f"{task_id}: nobody asked for it")
        elif len(case.tasks[task_id].events) != len(events):
            yield Violation("log", f"{task_id}: the log does not hold what was written to it")


def fenced(case: Case) -> Iterator[Violation]:
    """What an attempt says is said by who started it, and while nobody else has."""
    for task in case:
        holder: Event | None = None
        for before, event in zip(task.events, task.events[1:], strict=False):
            if before.kind is Kind.STARTED:
                holder = before
            elif before.kind is not Kind.STEP_RECORDED:
                holder = None
            if event.kind is Kind.STARTED:
                if event.attempt != before.attempt + 1:
                    yield Violation("fence", f"{task.name}: attempt {event.attempt} follows {before.attempt}")
            elif event.kind in (Kind.STEP_RECORDED, Kind.ATTEMPT_FAILED, Kind.WAITING) or _of_attempt(event):
                held = holder is not None and (holder.actor, holder.attempt) == (event.actor, event.attempt)
                if not held:
                    yield Violation("fence", f"{task.name}: {event.kind}/{event.seq} by who did not hold it")
            elif event.kind is Kind.SUCCEEDED and before.kind in UNDER_WAY:
                yield Violation("fence", f"{task.name}: answered from elsewhere while it ran")


def _of_attempt(event: Event) -> bool:
    """The end of an attempt that ran."""
    if event.kind is Kind.SUCCEEDED:
        return not event.body.get("usage", {}).get("cached")
    return event.kind is Kind.DEAD_LETTERED and event.body.get("cause") in ("permanent", "attempts_exhausted")


def deleted_when_done(case: Case) -> Iterator[Violation]:
    """A message is taken off its queue when its task has ended or waits elsewhere."""
    for deleted in case.history.deleted:
        if deleted.task_id in case.tasks and not deleted.finished and not deleted.elsewhere:
            name = case.tasks[deleted.task_id].name
            yield Violation("deleted", f"{name}: its last message was taken off {deleted.queue} at {deleted.at:.3f}")


def unbroken(case: Case) -> Iterator[Violation]:
    """Nothing of our own broke off."""
    for what in case.history.broken:
        yield Violation("broken", what)


RULES = (whole, fenced, deleted_when_done, unbroken)
