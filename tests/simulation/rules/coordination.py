"""Pauses, cancels and identical tasks: who must not start, does not."""

from __future__ import annotations

from collections.abc import Iterator

from flotilla.events import Kind, fold
from tests.simulation.agents import CACHE_TTL_SECONDS
from tests.simulation.history import PauseSpan
from tests.simulation.rules.case import UNDER_WAY, Case, Task, Violation, true_ms

START_BOUND_SECONDS = 1.1
"""No start is decided so long after a pause is in force: what a process knows is a second old at the most."""

STEP_BOUND_SECONDS = 2.2
"""The same for the steps of an attempt that runs: it asks once a second."""

CANCEL_BOUND_SECONDS = 1.1
"""An attempt begins no step so long after its task was cancelled."""

_PATIENCE_SECONDS = 20.0
_GATE = ("pauses", "flights", "log", "payloads")


def paused_does_not_start(case: Case) -> Iterator[Violation]:
    """While a pause is in force nothing in its scope starts, but for what was decided within the bound."""
    for span in case.history.pauses:
        until = case.world.scheduler.now if span.until is None else span.until
        for task in case:
            if not _covers(span, task):
                continue
            for written in task.written:
                at = written.decided
                late = span.since + START_BOUND_SECONDS < at < until
                if written.event.kind is Kind.STARTED and late and not _trouble(case, at):
                    yield Violation(
                        "pause", f"{task.name} started {at - span.since:.3f} s after {span.scope} was paused"
                    )
        for step in case.history.step_runs:
            found = case.tasks.get(step.task_id)
            late = span.since + STEP_BOUND_SECONDS < step.at < until
            if found is not None and _covers(span, found) and late and not _trouble(case, step.at):
                yield Violation("pause", f"{found.name} began {step.step} {step.at - span.since:.3f} s after the pause")


def _covers(span: PauseSpan, task: Task) -> bool:
    submit = task.submit
    return span.scope == "fleet" or span.name == {"lane": submit.lane, "agent": submit.agent}[span.scope]


def _trouble(case: Case, at: float) -> bool:
    """A store that does not answer opens the gate, and one that is slow holds up what was decided."""
    return case.faults.trouble(_GATE, at - _PATIENCE_SECONDS, at)


def cancelled_stops(case: Case) -> Iterator[Violation]:
    """A running attempt learns within the bound that its task was cancelled, and begins no step after."""
    for task in case:
        cancelled = next((written.at for written in task.written if written.event.kind is Kind.CANCELLED), None)
        if cancelled is None:
            continue
        for step in case.history.step_runs:
            late = step.task_id == task.task_id and step.at > cancelled + CANCEL_BOUND_SECONDS
            if late and not _trouble(case, step.at):
                yield Violation("cancel", f"{task.name} began {step.step} {step.at - cancelled:.3f} s after its cancel")


def identical_run_once(case: Case) -> Iterator[Violation]:
    """No start while an identical task runs, or while the result of one is fresh."""
    groups: dict[tuple[str, str, str], list[Task]] = {}
    for task in case:
        if task.submit.agent == "sim.cached":
            groups.setdefault((task.submit.tenant, task.submit.agent, str(task.submit.input())), []).append(task)
    for tasks in groups.values():
        for task in tasks:
            for written in task.written:
                if written.event.kind is Kind.STARTED:
                    others = (other for other in tasks if other is not task)
                    yield from (
                        Violation("cache", f"{task.name} started at {written.decided:.3f} though {why}")
                        for other in others
                        if (why := _in_the_way(case, other, written.decided)) is not None
                    )


def _in_the_way(case: Case, other: Task, at: float) -> str | None:
    log = [written.event for written in other.at(at)]
    if not log or other.state is None:
        return None
    state = fold(log)
    if any("input" in event.body for event in log if event.kind is Kind.REDRIVEN):
        return None  # it is identical no more
    slack_ms = case.faults.plan.skew_seconds * 1000
    if log[-1].kind in UNDER_WAY and (state.lease_until_ms or 0) > true_ms(at) + slack_ms:
        return f"{other.name} ran"
    fresh_ms = (state.finished_at_ms or 0) + CACHE_TTL_SECONDS * 1000 - slack_ms
    ran = state.status == "succeeded" and not log[-1].body["usage"].get("cached")
    if ran and fresh_ms > true_ms(at):
        return f"{other.name} had succeeded"
    return None


RULES = (paused_does_not_start, cancelled_stops, identical_run_once)
