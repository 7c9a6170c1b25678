"""Waits in a log: what a task waits for, how each wait ended, and what a redrive makes of that."""

from __future__ import annotations

from typing import Any

import pytest

from flotilla.errors import CorruptLogError
from flotilla.events import Kind, TaskState, fold
from flotilla.events.told import tell, untell
from flotilla.events.waits import WaitEnd
from flotilla.models import Status
from tests.logs import ERROR, START_MS, LogBuilder

TIMED_OUT = {"error": ERROR | {"code": "wait_timeout", "retryable": False}}


def state(*events: tuple[Kind, dict[str, Any]], **accepted: Any) -> TaskState:
    return fold(log(*events, **accepted).events)


def log(*events: tuple[Kind, dict[str, Any]], **accepted: Any) -> LogBuilder:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, **accepted)
    builder.add(Kind.STARTED, attempt=1)
    for kind, body in events:
        builder.add(kind, attempt=1, actor="key:k" if kind is Kind.SIGNALLED else "worker:w", **body)
    return builder


WAITING = (Kind.WAITING, {"for": "decision", "until_ms": START_MS + 60_000, "detail": {"a": 1}})
SIGNALLED = (Kind.SIGNALLED, {"name": "decision", "payload": "yes"})
RESUMED = (Kind.RESUMED, {"for": "decision", "timed_out": True})


def test_a_waiting_task_says_for_what_and_until_when() -> None:
    found = state(WAITING)
    assert (found.status, found.waiting_for, found.waiting_until_ms) == (
        Status.WAITING,
        "decision",
        START_MS + 60_000,
    )
    assert (found.waiting_detail, found.attempts_charged, found.attempt_lost()) == ({"a": 1}, 0, False)


@pytest.mark.parametrize("end", [SIGNALLED, RESUMED, (Kind.CANCELLED, {}), (Kind.EXPIRED, {})])
def test_what_has_ended_waits_for_nothing(end: tuple[Kind, dict[str, Any]]) -> None:
    found = state(WAITING, end)
    assert (found.waiting_for, found.waiting_until_ms, found.waiting_detail, found.wait_ends_ms) == (None,) * 4


def test_how_a_wait_ended_is_kept_for_the_attempts_after() -> None:
    assert state(WAITING, SIGNALLED).waits == {"decision": WaitEnd(False, "yes", "key:k", START_MS + 300)}
    assert state(WAITING, RESUMED).waits == {"decision": WaitEnd(True, None, "worker:w", START_MS + 300)}


@pytest.mark.parametrize(
    ("until_ms", "deadline_ms", "ends_ms"),
    [(None, None, None), (5, None, 5), (None, 7, 7), (5, 7, 5), (7, 5, 5)],
)
def test_a_wait_ends_in_its_time_or_with_the_task(
    until_ms: int | None, deadline_ms: int | None, ends_ms: int | None
) -> None:
    members = {} if until_ms is None else {"until_ms": until_ms}
    found = state((Kind.WAITING, {"for": "x", **members}), deadline_ms=deadline_ms)
    assert found.wait_ends_ms == ends_ms


def test_what_was_used_of_models_before_a_wait_adds_up() -> None:
    usage = {"model_calls": 2, "cost_usd": 0.5}
    found = state((Kind.WAITING, {"usage": usage}), SIGNALLED, (Kind.STARTED, {}), (Kind.SUCCEEDED, {"usage": usage}))
    assert (found.usage["model_calls"], found.usage["cost_usd"]) == (4, 1.0)


def test_a_redrive_keeps_signals_and_forgets_a_wait_that_the_task_died_of() -> None:
    other = (Kind.SIGNALLED, {"name": "other", "payload": 1})
    died = state(
        (Kind.WAITING, {"for": "other"}), other, WAITING, RESUMED, (Kind.DEAD_LETTERED, TIMED_OUT), (Kind.REDRIVEN, {})
    )
    assert set(died.waits) == {"other"}
    of_something_else = state(WAITING, RESUMED, (Kind.DEAD_LETTERED, {}), (Kind.REDRIVEN, {}))
    assert set(of_something_else.waits) == {"decision"}


def test_a_corrected_input_forgets_them_all() -> None:
    corrected = (Kind.REDRIVEN, {"input": {"inline": 2}})
    assert state(WAITING, SIGNALLED, (Kind.DEAD_LETTERED, {}), corrected).waits == {}


@pytest.mark.parametrize(
    ("kind", "missing"),
    [(Kind.WAITING, "for"), (Kind.SIGNALLED, "name"), (Kind.SIGNALLED, "payload"), (Kind.RESUMED, "for")],
)
def test_an_event_that_lacks_what_its_kind_needs_is_refused(kind: Kind, missing: str) -> None:
    builder = log()
    event = builder.add(kind, attempt=1)
    del event.body[missing]
    with pytest.raises(CorruptLogError):
        fold(builder.events)


def test_a_wait_is_told_with_its_time_and_told_back() -> None:
    event = log(WAITING).events[-1]
    view = tell(event)
    assert (view["for"], view["until"], view["detail"]) == ("decision", "2023-11-14T22:14:20.000Z", {"a": 1})
    assert untell(view, tenant="acme", task_id=event.task_id) == event
