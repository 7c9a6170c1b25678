"""The hash chain: whatever is done to a log after it was written is found."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flotilla.errors import CorruptLogError
from flotilla.events import GENESIS_HASH, Event, Kind, chain, verify_chain
from flotilla.models import canonical_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
BODY = st.dictionaries(st.text(max_size=5), JSON, max_size=3)
STEP = st.tuples(st.sampled_from(Kind), st.integers(0, 2**42), st.text(max_size=8), st.integers(0, 9), BODY)


def chained(steps: list[tuple[Kind, int, str, int, dict[str, Any]]]) -> list[Event]:
    events: list[Event] = []
    for seq, (kind, at_ms, actor, attempt, body) in enumerate(steps):
        events.append(
            chain(
                task_id="tsk_sample",
                seq=seq,
                kind=kind,
                at_ms=at_ms,
                actor=actor,
                attempt=attempt,
                body=body,
                prev_hash=events[-1].hash if events else GENESIS_HASH,
            )
        )
    return events


LOGS = st.lists(STEP, min_size=1, max_size=6).map(chained)


@given(LOGS)
def test_a_log_as_it_was_written_is_whole(events: list[Event]) -> None:
    verify_chain(events)


@given(LOGS)
def test_a_log_that_went_through_json_is_whole(events: list[Event]) -> None:
    verify_chain([replace(event, body=json.loads(canonical_json(event.body))) for event in events])


ALTERATIONS: dict[str, Any] = {
    "task_id": st.text(max_size=8),
    "seq": st.integers(-1, 9),
    "kind": st.sampled_from(Kind),
    "at_ms": st.integers(0, 2**42),
    "actor": st.text(max_size=8),
    "attempt": st.integers(0, 9),
    "body": BODY,
    "prev_hash": st.text("0123456789abcdef", min_size=64, max_size=64),
    "hash": st.text("0123456789abcdef", min_size=64, max_size=64),
}


def test_every_member_of_an_event_is_altered_by_the_next_test() -> None:
    assert {field.name for field in fields(Event)} == set(ALTERATIONS)


@given(LOGS, st.data())
def test_an_altered_event_is_found(events: list[Event], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(events) - 1))
    name = data.draw(st.sampled_from(sorted(ALTERATIONS)))
    altered = data.draw(ALTERATIONS[name])
    original = getattr(events[position], name)
    # As JSON, since that is what is kept: 1 and 1.0 are two values there, and True is not 1.
    assume(json.dumps(altered, sort_keys=True) != json.dumps(original, sort_keys=True))
    events[position] = replace(events[position], **{name: altered})
    with pytest.raises(CorruptLogError):
        verify_chain(events)


@given(st.lists(STEP, min_size=2, max_size=6).map(chained), st.data())
def test_a_missing_event_is_found_unless_it_is_the_last(events: list[Event], data: st.DataObject) -> None:
    """That the end is missing no chain can tell: only what comes after an event vouches for it."""
    del events[data.draw(st.integers(0, len(events) - 2))]
    with pytest.raises(CorruptLogError):
        verify_chain(events)


@given(LOGS, st.data())
def test_an_extra_event_is_found(events: list[Event], data: st.DataObject) -> None:
    extra = data.draw(st.sampled_from(events) | LOGS.map(lambda other: other[0]))
    events.insert(data.draw(st.integers(0, len(events))), extra)
    with pytest.raises(CorruptLogError):
        verify_chain(events)


@given(st.lists(STEP, min_size=2, max_size=6).map(chained), st.randoms())
def test_a_reordered_log_is_found(events: list[Event], random: Any) -> None:
    shuffled = random.sample(events, len(events))
    assume(shuffled != events)
    with pytest.raises(CorruptLogError):
        verify_chain(shuffled)


@given(LOGS, st.data())
def test_an_event_forged_with_a_right_hash_of_its_own_is_found_by_its_successor(
    events: list[Event], data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, len(events) - 1))
    honest = events[position]
    forged = chain(
        task_id=honest.task_id,
        seq=honest.seq,
        kind=honest.kind,
        at_ms=honest.at_ms + 1,
        actor=honest.actor,
        attempt=honest.attempt,
        body=honest.body,
        prev_hash=honest.prev_hash,
    )
    successor = chain(
        task_id=honest.task_id,
        seq=len(events),
        kind=Kind.SUCCEEDED,
        at_ms=1,
        actor="",
        attempt=1,
        body={},
        prev_hash=events[-1].hash,
    )
    events[position] = forged
    with pytest.raises(CorruptLogError):
        verify_chain([*events, successor])


def test_events_of_two_tasks_are_no_log() -> None:
    first, second = chained([(Kind.ACCEPTED, 1, "a", 0, {}), (Kind.STARTED, 2, "b", 1, {})])
    elsewhere = chain(
        task_id="tsk_other",
        seq=1,
        kind=second.kind,
        at_ms=second.at_ms,
        actor=second.actor,
        attempt=second.attempt,
        body=second.body,
        prev_hash=first.hash,
    )
    with pytest.raises(CorruptLogError, match="tsk_other"):
        verify_chain([first, elsewhere])


def test_the_hash_of_an_event_never_changes() -> None:
    """Logs written by an earlier version must verify for as long as they are kept."""
    event = chain(
        task_id="tsk_1",
        seq=3,
        kind=Kind.STEP_RECORDED,
        at_ms=1_700_000_000_000,
        actor="worker:w/1",
        attempt=1,
        body={"step": "größe", "result": {"inline": [1, 2.5, None, True, "\u2028"]}},
        prev_hash="ab" * 32,
    )
    assert event.hash == "c1bd56f809fc904bb99402110304db929cef489884f99ea756e1abeeed3614f9"


@given(JSON)
def test_canonical_json_is_the_same_for_equal_values_and_reads_back(value: Any) -> None:
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5), st.randoms())
def test_canonical_json_does_not_depend_on_the_order_of_members(value: dict[str, Any], random: Any) -> None:
    names = random.sample(sorted(value), len(value))
    assert canonical_json({name: value[name] for name in names}) == canonical_json(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_json_does_not_have_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": [value]})
    with pytest.raises(ValueError, match="JSON"):
        chained([(Kind.ACCEPTED, 1, "a", 0, {"x": value})])


def test_canonical_json_is_compact_and_keeps_letters() -> None:
    assert canonical_json({"b": 1, "a": ["ä", None]}) == '{"a":["ä",null],"b":1}'
