"""The read model in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from flotilla.primitives.cause import unreadable_cause
from flotilla.primitives.cursor import Filter, cursor_after, place_of, position
from flotilla.read_model import (
    UNREADABLE,
    DeadFilter,
    Entry,
    EntryFilter,
    EntryPage,
    RunFilter,
    RunsFilter,
    UnreadableMessage,
)

_MAX_BODY_CHARACTERS = 1_000_000
_KEPT_BODY_CHARACTERS = 30_000

Listed = list[tuple[str, Entry | UnreadableMessage]]


class MemoryReadModel:
    """`ReadModel` in a dictionary.

    Args:
        looks_at: Entries that one call looks at: with a filter that little fits, a page is short.
    """

    def __init__(self, looks_at: int = 1000) -> None:
        self.entries: dict[str, Entry] = {}
        self.unreadable: dict[str, UnreadableMessage] = {}
        self.puts = 0
        self._looks_at = looks_at

    async def put(self, entry: Entry) -> bool:
        self.puts += 1
        await asyncio.sleep(0)
        found = self.entries.get(entry.task_id)
        if found is not None:
            archives = entry.archive_key is not None and found.archive_key is None
            if found.head_seq > entry.head_seq or (found.head_seq == entry.head_seq and not archives):
                return False
        self.entries[entry.task_id] = entry
        return True

    async def get(self, tenant: str, task_id: str, created_at_ms: int) -> Entry | None:
        await asyncio.sleep(0)
        entry = self.entries.get(task_id)
        if entry is None or (entry.tenant, entry.created_at_ms) != (tenant, created_at_ms):
            return None
        return entry

    async def find(self, tenant: str, task_id: str, *, created_before_ms: int) -> Entry | None:
        await asyncio.sleep(0)
        entry = self.entries.get(task_id)
        if entry is None or entry.tenant != tenant or entry.created_at_ms >= created_before_ms:
            return None
        return entry

    async def list(self, wanted: EntryFilter, *, limit: int, cursor: str | None) -> EntryPage:
        after = None if cursor is None else place_of(wanted, cursor)
        await asyncio.sleep(0)
        listed: Listed = [
            (position(entry.created_at_ms, entry.task_id), entry)
            for entry in self.entries.values()
            if entry.tenant == wanted.tenant
        ]
        return self._page(wanted, listed, limit, after)

    async def dead(self, wanted: DeadFilter, *, limit: int, cursor: str | None) -> EntryPage:
        after = None if cursor is None else place_of(wanted, cursor)
        await asyncio.sleep(0)
        listed: Listed = [
            (position(entry.finished_at_ms or entry.head_at_ms, entry.task_id), entry)
            for entry in self.entries.values()
            if entry.cause is not None
        ]
        listed += [
            (position(message.received_at_ms, message.message_id), message) for message in self.unreadable.values()
        ]
        return self._page(wanted, listed, limit, after)

    async def tasks_of_run(self, wanted: RunFilter, *, limit: int, cursor: str | None) -> EntryPage:
        return await self._by_creation(wanted, limit, cursor)

    async def runs(self, wanted: RunsFilter, *, limit: int, cursor: str | None) -> EntryPage:
        return await self._by_creation(wanted, limit, cursor)

    async def _by_creation(self, wanted: RunFilter | RunsFilter, limit: int, cursor: str | None) -> EntryPage:
        after = None if cursor is None else place_of(wanted, cursor)
        await asyncio.sleep(0)
        listed: Listed = [
            (position(entry.created_at_ms, entry.task_id), entry)
            for entry in self.entries.values()
            if entry.tenant == wanted.tenant
            and (entry.run == wanted.run if isinstance(wanted, RunFilter) else entry.is_run)
        ]
        return self._page(wanted, listed, limit, after)

    async def put_unreadable(self, message: UnreadableMessage) -> None:
        await asyncio.sleep(0)
        if len(message.body) > _MAX_BODY_CHARACTERS:
            body = f"{message.body[:_KEPT_BODY_CHARACTERS]}… ({len(message.body)} characters)"
            message = replace(message, body=body)
        self.unreadable.setdefault(message.message_id, message)

    async def tenants(self) -> Sequence[str]:
        await asyncio.sleep(0)
        return sorted({entry.tenant for entry in self.entries.values()})

    def _page(self, wanted: Filter, listed: Listed, limit: int, after: str | None) -> EntryPage:
        rising = isinstance(wanted, RunFilter) and bool(wanted.oldest_first)
        waiting = sorted(
            (each for each in listed if after is None or (each[0] > after if rising else each[0] < after)),
            key=_place,
            reverse=not rising,
        )
        found: Listed = []
        for number, each in enumerate(waiting):
            if len(found) == limit or number == self._looks_at:
                return EntryPage([value for _, value in found], cursor_after(wanted, waiting[number - 1][0]))
            if _fits(each[1], wanted):
                found.append(each)
        return EntryPage([value for _, value in found], None)


def _place(listed: tuple[str, Entry | UnreadableMessage]) -> str:
    return listed[0]


def _fits(value: Entry | UnreadableMessage, wanted: Filter) -> bool:
    if isinstance(wanted, DeadFilter):
        if isinstance(value, UnreadableMessage):
            agent, cause = UNREADABLE, unreadable_cause(value)
        else:
            assert value.cause is not None
            agent, cause = value.agent, value.cause
        return wanted.agent in (None, agent) and wanted.cause in (None, cause.fingerprint, cause.text)
    assert isinstance(value, Entry)
    if wanted.finished not in (None, value.finished_at_ms is not None):
        return False
    if isinstance(wanted, RunFilter):
        return wanted.step in (None, value.step)
    if isinstance(wanted, RunsFilter):
        return wanted.agent in (None, value.agent) and wanted.status in (None, value.status)
    return (
        wanted.status in (None, value.status)
        and wanted.agent in (None, value.agent)
        and wanted.lane in (None, value.lane)
        and wanted.session in (None, value.session)
        and (wanted.created_after_ms is None or value.created_at_ms >= wanted.created_after_ms)
        and (wanted.created_before_ms is None or value.created_at_ms < wanted.created_before_ms)
        and wanted.archived in (None, value.archive_key is not None)
    )
