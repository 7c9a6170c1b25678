"""The fold: each kind of event leaves a task in exactly one status, and an illegal log is refused."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.errors import CorruptLogError
from flotilla.events import Event, Kind, fold
from flotilla.events.kinds import STATUS_AFTER
from flotilla.models import ErrorInfo, Payload, Status
from tests.logs import BODIES, START_MS, LogBuilder, log_of

ENDS = [kind for kind in Kind if STATUS_AFTER[kind].terminal]

EXPECTED = {
    Kind.SCHEDULED: Status.SCHEDULED,
    Kind.STARTED: Status.RUNNING,
    Kind.STEP_RECORDED: Status.RUNNING,
    Kind.ATTEMPT_FAILED: Status.RETRYING,
    Kind.PARKED: Status.PARKED,
    Kind.RESUMED: Status.QUEUED,
    Kind.WAITING: Status.WAITING,
    Kind.SIGNALLED: Status.QUEUED,
    Kind.SUCCEEDED: Status.SUCCEEDED,
    Kind.DEAD_LETTERED: Status.DEAD_LETTERED,
    Kind.CANCELLED: Status.CANCELLED,
    Kind.EXPIRED: Status.EXPIRED,
    Kind.REDRIVEN: Status.QUEUED,
}


def test_an_accepted_task_is_queued() -> None:
    state = fold(log_of())
    assert state.status is Status.QUEUED
    assert (state.attempt, state.attempts_charged, state.head_seq) == (0, 0, 0)
    assert state.created_at_ms == START_MS
    assert state.input == Payload(inline={"value": 1})
    assert not state.attempt_lost()


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.ACCEPTED])
def test_every_kind_leaves_its_own_status(kind: Kind) -> None:
    before = [Kind.STARTED, Kind.DEAD_LETTERED] if kind is Kind.REDRIVEN else [Kind.STARTED]
    events = log_of(*before, kind)
    state = fold(events)
    assert state.status is EXPECTED[kind]
    assert (state.head_seq, state.head_hash, state.head_kind) == (events[-1].seq, events[-1].hash, kind)
    assert state.status.terminal == (state.finished_at_ms is not None)
    assert (state.lease_until_ms is not None) == (state.status is Status.RUNNING)


def test_the_terminal_statuses_are_exactly_four() -> None:
    assert {status.value for status in Status if status.terminal} == {
        "succeeded",
        "dead_lettered",
        "cancelled",
        "expired",
    }


@pytest.mark.parametrize(("end", "after"), list(itertools.product(ENDS, Kind)))
def test_nothing_but_a_redrive_follows_an_end(end: Kind, after: Kind) -> None:
    events = log_of(Kind.STARTED, end, after)
    if after is Kind.REDRIVEN:
        assert fold(events).status is Status.QUEUED
    else:
        with pytest.raises(CorruptLogError):
            fold(events)


def test_an_empty_log_is_refused() -> None:
    with pytest.raises(CorruptLogError):
        fold([])


@pytest.mark.parametrize("first", [kind for kind in Kind if kind is not Kind.ACCEPTED])
def test_a_log_begins_with_accepted(first: Kind) -> None:
    builder = LogBuilder()
    builder.add(first)
    with pytest.raises(CorruptLogError):
        fold(builder.events)


@given(
    st.lists(st.sampled_from([Kind.STARTED, Kind.STEP_RECORDED, Kind.ATTEMPT_FAILED]), min_size=1, max_size=6),
    st.data(),
)
def test_a_gap_is_refused(kinds: list[Kind], data: st.DataObject) -> None:
    events = log_of(*kinds)
    missing = data.draw(st.integers(0, len(events) - 2))
    with pytest.raises(CorruptLogError):
        fold(events[:missing] + events[missing + 1 :])


@given(st.lists(st.sampled_from([Kind.STARTED, Kind.ATTEMPT_FAILED]), min_size=1, max_size=6), st.data())
def test_a_repeated_event_is_refused(kinds: list[Kind], data: st.DataObject) -> None:
    events = log_of(*kinds)
    events.insert(data.draw(st.integers(1, len(events))), data.draw(st.sampled_from(events[1:])))
    with pytest.raises(CorruptLogError):
        fold(events)


@pytest.mark.parametrize(
    ("kind", "member"),
    [
        (Kind.ACCEPTED, "tenant"),
        (Kind.ACCEPTED, "input"),
        (Kind.STARTED, "lease_until_ms"),
        (Kind.STEP_RECORDED, "step"),
        (Kind.ATTEMPT_FAILED, "next_attempt_ms"),
        (Kind.SUCCEEDED, "output"),
    ],
)
def test_an_event_that_lacks_what_its_kind_needs_makes_the_log_corrupt(kind: Kind, member: str) -> None:
    """Not a KeyError: what reads logs knows what to do about `CorruptLogError` and about nothing else."""
    events = log_of(Kind.STARTED, kind) if kind is not Kind.ACCEPTED else log_of()
    body = {name: value for name, value in events[-1].body.items() if name != member}
    events[-1] = replace(events[-1], body=body)
    with pytest.raises(CorruptLogError):
        fold(events)


def test_members_of_a_later_version_are_ignored() -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, later={"a": 1})
    builder.add(Kind.STARTED, attempt=1, later=2)
    builder.add(Kind.SUCCEEDED, attempt=1, later=3)
    assert fold(builder.events).status is Status.SUCCEEDED


def attempts(*endings: Kind | None, solo: bool = False) -> list[Event]:
    """A log of attempts; None for one that nothing says the end of."""
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED)
    for number, ending in enumerate(endings, start=1):
        builder.add(Kind.STARTED, attempt=number, **({"solo": True} if solo else {}))
        if ending is not None:
            builder.add(ending, attempt=number)
    return builder.events


@given(st.lists(st.sampled_from([Kind.ATTEMPT_FAILED, Kind.PARKED, None]), max_size=8), st.booleans())
def test_only_failures_and_attempts_lost_alone_are_charged(endings: list[Kind | None], solo: bool) -> None:
    state = fold(attempts(*endings, solo=solo))
    failed = endings.count(Kind.ATTEMPT_FAILED)
    lost = endings.count(None) if solo else 0
    assert state.charge_if_lost() == failed + lost
    assert state.attempt == len(endings)
    assert state.attempt_lost() == (bool(endings) and endings[-1] is None)


def test_an_attempt_that_recorded_steps_before_it_was_lost_is_charged_too() -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED)
    builder.add(Kind.STARTED, attempt=1, solo=True)
    builder.add(Kind.STEP_RECORDED, attempt=1)
    assert fold(builder.events).charge_if_lost() == 1
    builder.add(Kind.STARTED, attempt=2)
    assert fold(builder.events).attempts_charged == 1


def test_a_start_takes_its_lease_worker_and_attempt() -> None:
    state = fold(attempts(None, None, solo=True))
    assert state.worker == "worker:w/1"
    assert state.lease_until_ms == BODIES[Kind.STARTED]["lease_until_ms"]
    assert (state.started_at_ms, state.solo) == (START_MS + 200, True)


def test_recorded_steps_outlive_the_attempt() -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED)
    builder.add(Kind.STARTED, attempt=1)
    builder.add(Kind.STEP_RECORDED, attempt=1, step="a", result={"inline": 1})
    builder.add(Kind.ATTEMPT_FAILED, attempt=1)
    builder.add(Kind.STARTED, attempt=2)
    builder.add(Kind.STEP_RECORDED, attempt=2, step="b", result={"ref": "k", "bytes": 9, "sha256": "0" * 64})
    assert fold(builder.events).steps == {
        "a": Payload(inline=1),
        "b": Payload(ref="k", size_bytes=9, sha256="0" * 64),
    }


def test_a_failure_shows_while_the_task_is_retried_and_is_gone_when_it_succeeds() -> None:
    events = attempts(Kind.ATTEMPT_FAILED)
    state = fold(events)
    assert state.error == ErrorInfo("busy", "the other side is busy", retryable=True)
    assert state.next_attempt_ms == START_MS + 20_000
    state = fold(attempts(Kind.ATTEMPT_FAILED, Kind.SUCCEEDED))
    assert state.error is None
    assert state.output == Payload(inline={"value": 2})
    assert state.usage == {"duration_ms": 7}


NOT_ENDS = [kind for kind in Kind if kind not in ENDS and kind not in (Kind.ACCEPTED, Kind.REDRIVEN)]


@given(st.lists(st.sampled_from(NOT_ENDS), max_size=8), st.sampled_from([None, *ENDS]), st.booleans())
def test_a_next_attempt_is_announced_only_while_one_is_being_waited_for(
    kinds: list[Kind], end: Kind | None, redriven: bool
) -> None:
    """A time left over from an earlier failure would hold back a task that was resumed or redriven."""
    if end is not None:
        kinds = [*kinds, end, *([Kind.REDRIVEN] if redriven else [])]
    state = fold(log_of(*kinds))
    assert (state.next_attempt_ms is not None) == (state.status in (Status.RETRYING, Status.PARKED))


def redriven(**body: Any) -> list[Event]:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED)
    builder.add(Kind.STARTED, attempt=1)
    builder.add(Kind.STEP_RECORDED, attempt=1)
    builder.add(Kind.DEAD_LETTERED, attempt=1)
    builder.add(Kind.REDRIVEN, attempt=1, actor="operator:o", **body)
    return builder.events


def test_a_redrive_is_a_fresh_start_with_what_was_recorded() -> None:
    state = fold(redriven())
    assert (state.status, state.attempts_charged, state.error, state.finished_at_ms) == (Status.QUEUED, 0, None, None)
    assert set(state.steps) == {"first"}
    assert state.attempt == 1, "attempts go on counting: their number is in idempotent records outside"


def test_a_redrive_with_another_input_forgets_the_steps_made_from_the_old_one() -> None:
    state = fold(redriven(input={"inline": {"value": 3}}))
    assert state.input == Payload(inline={"value": 3})
    assert state.steps == {}


def test_only_a_corrected_input_makes_another_revision() -> None:
    assert fold(redriven()).revision == 0
    assert fold(redriven(input={"inline": None})).revision == 1


def models(calls: int, cost: float, *failovers: str) -> dict[str, Any]:
    used = {"model_calls": calls, "input_tokens": 10 * calls, "output_tokens": calls, "cost_usd": cost}
    noted = [{"route": "fast", "requested": "a", "served": name, "why": "circuit_open"} for name in failovers]
    return {"duration_ms": 100 * calls, "billed_ms": 50 * calls, **used, **({"failovers": noted} if noted else {})}


def test_what_models_were_used_adds_up_over_all_attempts_and_time_is_that_of_the_last() -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED)
    builder.add(Kind.STARTED, attempt=1)
    builder.add(Kind.ATTEMPT_FAILED, attempt=1, usage=models(1, 0.1, "b"))
    builder.add(Kind.STARTED, attempt=2)
    builder.add(Kind.PARKED, attempt=2, usage=models(2, 0.2))
    builder.add(Kind.STARTED, attempt=3)
    assert fold(builder.events).usage == {
        "model_calls": 3,
        "input_tokens": 30,
        "output_tokens": 3,
        "cost_usd": 0.3,
        "failovers": models(1, 0, "b")["failovers"],
    }
    builder.add(Kind.DEAD_LETTERED, attempt=3, usage=models(4, 0.000001, *"cdefghijklm"))
    assert fold(builder.events).usage["cost_usd"] == 0.300001
    builder.add(Kind.REDRIVEN, attempt=3)
    builder.add(Kind.STARTED, attempt=4)
    builder.add(Kind.SUCCEEDED, attempt=4, usage={"duration_ms": 7, "billed_ms": 3})
    usage = fold(builder.events).usage
    assert (usage["duration_ms"], usage["billed_ms"], usage["model_calls"]) == (7, 3, 7)
    assert [each["served"] for each in usage["failovers"]] == list("bcdefghijk"), "the first ten"


@pytest.mark.parametrize("kind", [Kind.PARKED, Kind.CANCELLED, Kind.EXPIRED])
def test_an_event_that_says_nothing_of_usage_changes_nothing_of_it(kind: Kind) -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED)
    builder.add(Kind.STARTED, attempt=1)
    builder.add(Kind.ATTEMPT_FAILED, attempt=1, usage=models(1, 0.1))
    builder.add(kind, attempt=1)
    assert fold(builder.events).usage["model_calls"] == 1


def test_a_child_knows_its_parent_and_whose_budgets_it_counts_against() -> None:
    builder = LogBuilder()
    budgets = [["tsk_sample", 100], ["tsk_parent", 5]]
    builder.add(Kind.ACCEPTED, parent="tsk_parent", root="tsk_root", depth=2, budgets=budgets)
    state = fold(builder.events)
    assert (state.parent, state.root, state.depth, state.budget_micros) == ("tsk_parent", "tsk_root", 2, 100)
    assert state.budgets == (("tsk_sample", 100), ("tsk_parent", 5))
    assert fold(log_of()).budgets == ()
    assert fold(log_of()).budget_micros is None


@pytest.mark.parametrize("budgets", [5, [5], [["tsk_1"]], [["tsk_1", -1]], [["tsk_1", "1"]]])
def test_budgets_that_are_none_make_the_log_corrupt(budgets: Any) -> None:
    builder = LogBuilder()
    builder.add(Kind.ACCEPTED, budgets=budgets)
    with pytest.raises(CorruptLogError):
        fold(builder.events)


def test_the_fold_does_not_touch_the_events() -> None:
    events = log_of(Kind.STARTED, Kind.STEP_RECORDED, Kind.SUCCEEDED)
    before = [repr(event) for event in events]
    fold(events)
    assert [repr(event) for event in events] == before
