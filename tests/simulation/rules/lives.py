"""The life of a task: it ends, in time and not before its time, with no more attempts than it has."""

from __future__ import annotations

from collections.abc import Iterator

from flotilla.events import Event, Kind
from tests.simulation.rules.case import ENDS, EPSILON_SECONDS, Case, Task, Violation, true_ms

_FAULTLESS = frozenset({"ok", "slow", "park", "park_long"})
_GENEROUS_RECEIVES = 100
"""A fleet whose messages may be handed out so often loses none of them to that."""


def ended(case: Case) -> Iterator[Violation]:
    """Whatever was promised, and whatever began to be, came to its end."""
    for task in case:
        state = task.state
        if state is not None and not state.status.terminal:
            kinds = " ".join(event.kind.value for event in task.events)
            yield Violation("liveness", f"{task.name} is {state.status}: {kinds[-300:]}")
    for answer in case.history.accepted():
        if answer.task_id not in case.world.log.logs:
            yield Violation("liveness", f"task {answer.number} was promised and is in no log")
        elif answer.task_id != case.world.workload.tasks[answer.number].task_id:
            yield Violation("answers", f"task {answer.number} was promised by an id that is not its key's")


def counted(case: Case) -> Iterator[Violation]:
    """Attempts that count never exceed what the task has, and a task that ran out of them had them all."""
    for task in case:
        charged, lost_alone, most = 0, False, task.events[0].body["max_attempts"]
        for event in task.events[1:]:
            if event.kind is Kind.REDRIVEN:
                charged, lost_alone = 0, False
            elif event.kind is Kind.STARTED:
                charged += lost_alone
                if charged >= most:
                    yield Violation("attempts", f"{task.name}: a start after {charged} of {most} attempts")
                lost_alone = bool(event.body.get("solo"))
            elif event.kind is Kind.ATTEMPT_FAILED:
                charged, lost_alone = charged + 1, False
                if charged >= most:
                    yield Violation("attempts", f"{task.name}: left to be retried after {charged} of {most}")
            elif event.kind in (Kind.PARKED, Kind.WAITING):
                lost_alone = False
            elif event.kind is Kind.DEAD_LETTERED:
                cause = event.body.get("cause")
                used = charged + (1 if cause == "attempts_exhausted" else lost_alone)
                if cause in ("attempts_exhausted", "worker_lost") and used != most:
                    yield Violation("attempts", f"{task.name}: given up as {cause} after {used} of {most}")


def died_of_its_own(case: Case) -> Iterator[Violation]:
    """No task dies of throttling, of an outage, or of waiting."""
    for task in case:
        for position, event in enumerate(task.events):
            if event.kind is not Kind.DEAD_LETTERED:
                continue
            cause, code = event.body.get("cause"), event.body["error"]["code"]
            if cause == "undeliverable":
                if case.world.workload.max_receive_count >= _GENEROUS_RECEIVES:
                    yield Violation("dead", f"{task.name}: {cause}")
            elif cause == "worker_lost":
                # A process that died alone with it is charged to it. Else it must have been its own doing.
                yield from _lost(case, task, position)
            elif _healthy(task) and not _late(case, task, code):
                yield Violation("dead", f"{task.name} does nothing wrong and died of {code}")


def _healthy(task: Task) -> bool:
    return set(task.submit.moves) <= _FAULTLESS


def _late(case: Case, task: Task, code: str) -> bool:
    """Its attempts ran out of time because whatever they called was slow."""
    if code != "timeout":
        return False
    began, ended = task.written[0].at, task.written[-1].at
    return case.faults.plan.slow_threads > 0 or case.faults.trouble(_CALLED, began - 15, ended)


_CALLED = ("log", "payloads", "outside", "turns", "pauses")


def _lost(case: Case, task: Task, position: int) -> Iterator[Violation]:
    start = next(event for event in reversed(task.events[:position]) if event.kind is Kind.STARTED)
    if case.world.died(start.actor.removeprefix("worker:")):
        return
    if not case.faults.trouble(("log",), 0.0, case.world.scheduler.now):
        yield Violation("dead", f"{task.name}: given up for lost while its worker lived")


def never_early(case: Case) -> Iterator[Violation]:
    """No start, and no answer, before the task is due: by its writer's clock, and by a right one but for the skew."""
    slack_ms = case.faults.plan.skew_seconds * 1000 + 2
    for task in case:
        due_ms: int | None = task.events[0].body.get("due_at_ms")
        for written in task.written[1:]:
            event = written.event
            if event.kind in (Kind.STARTED, Kind.SUCCEEDED) and due_ms is not None:
                early = due_ms - event.at_ms, due_ms - slack_ms - true_ms(written.decided)
                if max(early) > 0:
                    yield Violation(
                        "early", f"{task.name}: {event.kind}/{event.seq} {max(early):.0f} ms before its time"
                    )
            if event.kind is not Kind.STEP_RECORDED:
                due_ms = event.body.get("next_attempt_ms")


def in_time(case: Case) -> Iterator[Violation]:
    """No start after the deadline; none is called too late before it."""
    for task in case:
        deadline_ms = task.events[0].body.get("deadline_ms")
        for event in task.events:
            if event.kind is Kind.STARTED and deadline_ms is not None and event.at_ms >= deadline_ms:
                yield Violation("deadline", f"{task.name}: started {event.at_ms - deadline_ms} ms after its deadline")
            if event.kind is Kind.EXPIRED and (deadline_ms is None or event.at_ms < deadline_ms):
                yield Violation("deadline", f"{task.name}: expired before its deadline")


def alone(case: Case) -> Iterator[Violation]:
    """Two attempts of one task never run at the same time."""
    for task in case:
        for first, second in zip(task.runs, task.runs[1:], strict=False):
            if first.ended is None or first.ended > second.began + EPSILON_SECONDS:
                yield Violation(
                    "overlap",
                    f"{task.name}: attempt {second.attempt} began at {second.began:.3f} in {second.process}, "
                    f"while attempt {first.attempt} ran in {first.process}",
                )


def cancelled_stays(case: Case) -> Iterator[Violation]:
    """Who was told that he cancelled a task has; who was told that it had ended was told the truth."""
    for answer in case.history.answers:
        if answer.what != "cancel":
            continue
        events: list[Event] = case.tasks[answer.task_id].events
        told = answer.value.state
        if told.head_seq >= len(events) or events[told.head_seq].kind not in ENDS:
            yield Violation("cancel", f"task {answer.number}: the client was told of an end that there is not")
        elif answer.value.changed and events[told.head_seq].kind is not Kind.CANCELLED:
            yield Violation("cancel", f"task {answer.number}: the client was told that it was cancelled")


RULES = (ended, counted, died_of_its_own, never_early, in_time, alone, cancelled_stays)
