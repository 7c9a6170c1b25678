"""The contract of `EventLog`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from flotilla.events import Event, Kind, chain, verify_chain
from flotilla.models import canonical_json
from flotilla.ports import EventLog
from tests.logs import LogBuilder, log_of

BODIES: dict[str, dict[str, Any]] = {
    "empty": {},
    "letters": {"text": 'größe \u2028 \U0001f680 \x00 " \\', "": "no name"},
    "numbers": {"float": 0.1, "whole": 1.0, "minus": -0.0, "big": 2**70, "tiny": 5e-324},
    "nested": {"list": [[], {}, None, True, {"a": [1, "1"]}], "null": None},
    "just small": {"text": "x" * 1000},
    "just large": {"text": "x" * 1024},
    "large": {"text": "lorem ipsum " * 10_000, "letters": "ä" * 2000},
}


def appended(log: EventLog, *events: Event) -> list[Event | None]:
    """Append one after the other and give back the answers."""

    async def append() -> list[Event | None]:
        return [await log.append(event) for event in events]

    return asyncio.run(append())


def read(log: EventLog, task_id: str = "tsk_sample") -> list[Event]:
    return asyncio.run(log.read(task_id))


def head(log: EventLog, task_id: str = "tsk_sample") -> Event | None:
    return asyncio.run(log.head(task_id))


class EventLogContract:
    """Provide a fixture `log`: an empty event log."""

    def test_what_was_appended_is_read_back_in_order(self, log: EventLog) -> None:
        events = log_of(Kind.STARTED, Kind.STEP_RECORDED, Kind.STEP_RECORDED, Kind.ATTEMPT_FAILED, Kind.STARTED)
        assert appended(log, *events) == [None] * 6
        assert read(log) == events
        verify_chain(read(log))

    def test_order_is_by_number_and_not_by_text(self, log: EventLog) -> None:
        events = log_of(*[Kind.STARTED] * 11)
        appended(log, *reversed(events))
        assert [event.seq for event in read(log)] == list(range(12))

    def test_a_task_that_was_never_accepted_has_no_log(self, log: EventLog) -> None:
        assert read(log) == []

    def test_the_head_is_the_newest_event_by_number(self, log: EventLog) -> None:
        assert head(log) is None
        events = log_of(*[Kind.STARTED] * 11)
        for event in events:
            appended(log, event)
            assert head(log) == event
        assert head(log, "tsk_sampl") is None

    def test_a_taken_place_is_not_given_again_and_its_holder_is_told(self, log: EventLog) -> None:
        first, second = log_of(Kind.STARTED)
        other = chain(
            task_id=second.task_id,
            seq=second.seq,
            kind=Kind.CANCELLED,
            at_ms=second.at_ms,
            actor="operator:o",
            attempt=0,
            body={"why": "x" * 5000},
            prev_hash=first.hash,
        )
        assert appended(log, first, second, other) == [None, None, second]
        assert read(log) == [first, second]

    def test_a_large_holder_is_told_whole(self, log: EventLog) -> None:
        builder = LogBuilder()
        large = builder.add(Kind.ACCEPTED, labels={"text": "y" * 5000})
        other = log_of()[0]
        assert appended(log, large, other) == [None, large]

    def test_the_very_same_event_again_is_no_refusal(self, log: EventLog) -> None:
        """Its first answer may have been lost."""
        events = log_of(Kind.STARTED)
        assert appended(log, events[0], events[1], events[1], events[0]) == [None] * 4
        assert read(log) == events

    def test_the_same_event_is_recognised_though_others_came_after_it(self, log: EventLog) -> None:
        events = log_of(Kind.STARTED, Kind.SUCCEEDED)
        appended(log, *events)
        assert appended(log, events[1]) == [None]

    def test_an_event_that_differs_in_time_alone_is_another_event(self, log: EventLog) -> None:
        event = log_of()[0]
        later = chain(
            task_id=event.task_id,
            seq=event.seq,
            kind=event.kind,
            at_ms=event.at_ms + 1,
            actor=event.actor,
            attempt=event.attempt,
            body=event.body,
            prev_hash=event.prev_hash,
        )
        assert appended(log, event, later) == [None, event]

    def test_tasks_do_not_see_each_other(self, log: EventLog) -> None:
        mine, theirs = log_of(task_id="tsk_a"), log_of(Kind.STARTED, task_id="tsk_a1")
        appended(log, *mine, *theirs)
        assert read(log, "tsk_a") == mine
        assert read(log, "tsk_a1") == theirs

    @pytest.mark.parametrize("case", sorted(BODIES))
    def test_a_body_comes_back_as_it_was_and_fits_its_hash(self, log: EventLog, case: str) -> None:
        event = log_of()[0]
        event = chain(
            task_id=event.task_id,
            seq=0,
            kind=Kind.ACCEPTED,
            at_ms=event.at_ms,
            actor="key:k",
            attempt=0,
            body=BODIES[case],
            prev_hash=event.prev_hash,
        )
        appended(log, event)
        found = read(log)
        assert found == [event]
        assert canonical_json(found[0].body) == canonical_json(event.body), "1.0 is not 1, nor -0.0 0.0"
        verify_chain(found)

    def test_what_is_read_can_be_changed_without_changing_the_log(self, log: EventLog) -> None:
        events = log_of()
        appended(log, *events)
        read(log)[0].body["input"]["inline"]["value"] = "changed by a reader"
        assert read(log) == log_of()

    def test_every_member_of_an_event_is_kept(self, log: EventLog) -> None:
        events = log_of(Kind.STARTED)
        event = replace(events[1], actor="worker:Fußnote/1", attempt=12, at_ms=1_999_999_999_999)
        appended(log, events[0], event)
        assert read(log)[1] == event
