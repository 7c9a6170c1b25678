"""The contracts of `LogRetention`, `RetentionLedger` and `LogScan`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from flotilla.events import Event, Kind
from flotilla.ports import EventLog
from flotilla.primitives.retention import expires_at
from flotilla.retention_ports import Kept, LogRetention, LogScan, RetentionLedger
from tests.contracts.event_log import appended, read
from tests.logs import log_of

RETENTION_DAYS = 30

ExpiryOf = Callable[[Event], int]

TASK = Kept("tsk_1", "acme", 1_700_000_000_000, 1_700_000_500_000)


class LogRetentionContract:
    """Provide fixtures `log`, `retention` over the same store, and `expiry_of`, which says when an event expires."""

    def test_events_are_kept_for_longer(self, log: EventLog, retention: LogRetention, expiry_of: ExpiryOf) -> None:
        events = log_of(Kind.STARTED, Kind.PARKED)
        appended(log, *events)
        until = expires_at(events[0], RETENTION_DAYS) + 86_400
        assert asyncio.run(retention.extend(events, until)) == 3
        assert [expiry_of(event) for event in events] == [until] * 3
        assert read(log) == events, "and nothing else about them changes"

    def test_what_is_kept_longer_already_stays_as_it_is(
        self, log: EventLog, retention: LogRetention, expiry_of: ExpiryOf
    ) -> None:
        events = log_of(Kind.STARTED)
        appended(log, *events)
        before = [expiry_of(event) for event in events]
        assert asyncio.run(retention.extend(events, before[0])) == 0
        assert asyncio.run(retention.extend(events, before[0] - 1)) == 0
        assert [expiry_of(event) for event in events] == before

    def test_what_is_gone_is_not_made_again(self, log: EventLog, retention: LogRetention) -> None:
        events = log_of(Kind.STARTED)
        appended(log, events[0])
        assert asyncio.run(retention.extend(events, 2**40)) == 1
        assert read(log) == events[:1]

    def test_more_events_than_are_written_at_once(
        self, log: EventLog, retention: LogRetention, expiry_of: ExpiryOf
    ) -> None:
        events = log_of(*[Kind.STARTED] * 44)
        appended(log, *events)
        assert asyncio.run(retention.extend(events, 2**35)) == 45
        assert {expiry_of(event) for event in events} == {2**35}


class RetentionLedgerContract:
    """Provide a fixture `ledger`: an empty ledger."""

    def test_it_knows_how_far_each_tenant_was_seen_to(self, ledger: RetentionLedger) -> None:
        assert asyncio.run(ledger.reached("acme")) == 0
        asyncio.run(ledger.advance("acme", 500))
        asyncio.run(ledger.advance("acme", 900))
        asyncio.run(ledger.advance("acme#", 7))
        assert asyncio.run(ledger.reached("acme")) == 900
        assert asyncio.run(ledger.reached("acme#")) == 7
        assert asyncio.run(ledger.reached("other")) == 0

    def test_a_remembered_task_comes_up_when_its_time_has_come(self, ledger: RetentionLedger) -> None:
        asyncio.run(ledger.remember(TASK))
        assert asyncio.run(ledger.due(TASK.look_at_ms - 1)) == []
        assert asyncio.run(ledger.due(TASK.look_at_ms)) == [TASK]
        assert asyncio.run(ledger.due(2**60)) == [TASK]

    def test_a_task_has_one_time(self, ledger: RetentionLedger) -> None:
        later = replace(TASK, look_at_ms=TASK.look_at_ms + 10)
        for task in (TASK, later, replace(TASK, task_id="tsk_2")):
            asyncio.run(ledger.remember(task))
        assert [task.task_id for task in asyncio.run(ledger.due(TASK.look_at_ms))] == ["tsk_2"]
        assert later in asyncio.run(ledger.due(later.look_at_ms))

    def test_what_is_forgotten_comes_up_no_more(self, ledger: RetentionLedger) -> None:
        asyncio.run(ledger.remember(TASK))
        for _ in range(2):
            asyncio.run(ledger.forget("tsk_1"))
        assert asyncio.run(ledger.due(2**60)) == []

    def test_many_tasks(self, ledger: RetentionLedger) -> None:
        tasks = [replace(TASK, task_id=f"tsk_{number}") for number in range(60)]
        for task in tasks:
            asyncio.run(ledger.remember(task))
        assert sorted(asyncio.run(ledger.due(2**60)), key=tasks.index) == tasks


def scanned(scan: LogScan, segments: int, limit: int) -> list[list[Event]]:
    """The events of every segment, in order."""

    async def read_segment(segment: int) -> list[Event]:
        events: list[Event] = []
        cursor: str | None = None
        while True:
            page = await scan.page(segment, segments, cursor, limit=limit)
            assert len(page.events) <= limit
            assert not page.unreadable
            events += page.events
            cursor = page.next_cursor
            if cursor is None:
                return events

    async def read_all() -> list[list[Event]]:
        return [await read_segment(segment) for segment in range(segments)]

    return asyncio.run(read_all())


class LogScanContract:
    """Provide fixtures `log` and `scan` over the same store."""

    def test_every_event_is_read_once_and_each_log_is_together_and_in_order(self, log: EventLog, scan: LogScan) -> None:
        logs = [log_of(*[Kind.STARTED] * (number % 4), task_id=f"tsk_{number}") for number in range(30)]
        appended(log, *(event for each in logs for event in each))
        for segments, limit in ((1, 7), (3, 1), (4, 1000)):
            found = [events for events in scanned(scan, segments, limit) if events]
            flat = [event for events in found for event in events]
            by_task: dict[str, list[Event]] = {}
            for events in found:
                for before, event in zip([None, *events], events, strict=False):
                    assert event.task_id not in by_task or (before and before.task_id == event.task_id)
                    by_task.setdefault(event.task_id, []).append(event)
            assert len(flat) == sum(map(len, logs))
            assert by_task == {each[0].task_id: each for each in logs}

    def test_an_empty_log_has_nothing(self, scan: LogScan) -> None:
        assert scanned(scan, 2, 10) == [[], []]
