"""What clients are told of an event can be told back to that very event, hash and all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.errors import CorruptLogError
from flotilla.events import Event, Kind, verify_chain
from flotilla.events.told import tell, untell, untell_log
from flotilla.models import canonical_json, payload_key
from tests.histories import logs
from tests.logs import LogBuilder, log_of

TASK = "tsk_sample"
DIGEST = "ab" * 32
REF = {"ref": payload_key("acme", TASK, DIGEST), "bytes": 70_000, "sha256": DIGEST}
TOLD = {"bytes": 70_000, "sha256": DIGEST}


def told_back(events: list[Event]) -> list[Event]:
    over_the_wire = json.loads(json.dumps([tell(event) for event in events], ensure_ascii=False))
    return untell_log(over_the_wire, task_id=events[0].task_id)


def every_kind() -> LogBuilder:
    builder = LogBuilder(TASK)
    builder.add(
        Kind.ACCEPTED,
        actor="key:k",
        input=REF,
        deadline_ms=1_800_000_000_001,
        due_at_ms=1_799_999_999_999,
        labels={"ref": "a", "bytes": "b", "sha256": "c"},
        session="größe \U0001f680",
        trace="Root=1-2-3",
        webhook="whk_1",
    )
    builder.add(Kind.STARTED, attempt=1, lease_until_ms=1_700_000_000_000, solo=True)
    builder.add(Kind.STEP_RECORDED, attempt=1, result=REF)
    builder.add(Kind.STEP_RECORDED, attempt=1, result={"inline": {"bytes": 1, "sha256": "x"}})
    builder.add(Kind.STEP_RECORDED, attempt=1, result={"inline": [0.1, 1.0, -0.0, 1e300, 2**70, None, "\u2028"]})
    builder.add(Kind.ATTEMPT_FAILED, attempt=1, next_attempt_ms=1_700_000_000_999)
    builder.add(Kind.PARKED, attempt=1, next_attempt_ms=1_700_000_001_000)
    builder.add(Kind.SCHEDULED, attempt=1)
    builder.add(Kind.RESUMED, attempt=1)
    builder.add(Kind.WAITING, attempt=1)
    builder.add(Kind.SIGNALLED, attempt=1, payload={"inline": 1})
    builder.add(Kind.STARTED, attempt=2, takes_over={"attempt": 1, "worker": "w"}, lease_until_ms=0)
    builder.add(Kind.DEAD_LETTERED, attempt=2)
    builder.add(Kind.REDRIVEN, attempt=2, input=REF, request_id="r")
    builder.add(Kind.STARTED, attempt=3)
    turns = [{"position": 0, "content": REF}, {"position": 1, "content": {"inline": "hello"}}]
    builder.add(Kind.SUCCEEDED, attempt=3, output=REF, turns=turns, usage={"cost_usd": 0.1})
    return builder


def test_a_log_of_every_kind_comes_back_and_fits_its_chain() -> None:
    events = every_kind().events
    assert {event.kind for event in events} == set(Kind) - {Kind.CANCELLED, Kind.EXPIRED}
    assert told_back(events) == events
    assert [canonical_json(event.body) for event in told_back(events)] == [canonical_json(e.body) for e in events]
    verify_chain(told_back(events))


@pytest.mark.parametrize("end", [Kind.CANCELLED, Kind.EXPIRED, Kind.SUCCEEDED, Kind.DEAD_LETTERED])
def test_so_does_each_way_to_end(end: Kind) -> None:
    events = log_of(Kind.STARTED, end)
    assert told_back(events) == events


@given(logs())
def test_any_log_comes_back(events: list[Event]) -> None:
    for event in events:  # a payload's place follows from the tenant, which here is any
        if "ref" in event.body.get("input", {}):
            event.body["input"]["ref"] = payload_key(events[0].body["tenant"], TASK, event.body["input"]["sha256"])
    assert told_back(events) == events


def test_where_a_value_lies_is_told_nobody() -> None:
    told = json.dumps([tell(event) for event in every_kind().events])
    assert "tenants/" not in told
    assert tell(every_kind().events[0])["input"] == TOLD


def test_a_clients_own_words_are_told_whatever_they_look_like() -> None:
    told = tell(every_kind().events[0])
    assert told["labels"] == {"ref": "a", "bytes": "b", "sha256": "c"}
    assert (told["deadline"], told["due_at"]) == ("2027-01-15T08:00:00.001Z", "2027-01-15T07:59:59.999Z")


@pytest.mark.parametrize(
    "damage",
    [
        {"seq": "0"},
        {"seq": True},
        {"kind": "no_such"},
        {"at": "2026-01-01"},
        {"at": None},
        {"attempt": 0.0},
        {"deadline": "soon"},
        {"turns": [1]},
        {"turns": 5},
    ],
)
def test_what_is_no_event_is_a_corrupt_log(damage: dict[str, Any]) -> None:
    with pytest.raises(CorruptLogError):
        untell(tell(log_of()[0]) | damage, tenant="acme", task_id=TASK)


@pytest.mark.parametrize("missing", ["seq", "kind", "at", "actor", "attempt", "hash", "prev_hash"])
def test_what_lacks_what_every_event_has_is_a_corrupt_log(missing: str) -> None:
    view = tell(log_of()[0])
    del view[missing]
    with pytest.raises(CorruptLogError):
        untell(view, tenant="acme", task_id=TASK)


@pytest.mark.parametrize("views", [[1], [None], [[]], ["x"]])
def test_what_is_not_even_an_object_is_a_corrupt_log(views: list[Any]) -> None:
    with pytest.raises(CorruptLogError):
        untell_log(views, task_id=TASK)


@given(st.data())
def test_whatever_is_changed_on_the_way_makes_another_event_or_none(data: st.DataObject) -> None:
    events = every_kind().events
    number = data.draw(st.integers(0, len(events) - 1))
    view = tell(events[number])
    name = data.draw(st.sampled_from(sorted(view)))
    changed = data.draw(st.one_of(st.none(), st.integers(), st.text(max_size=5), st.just({"inline": 1})))
    if view[name] == changed:
        return
    try:
        event = untell(view | {name: changed}, tenant="acme", task_id=TASK)
    except CorruptLogError:
        return
    assert event != events[number]
