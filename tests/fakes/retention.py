"""What drops events, who is told to keep them, who reads them all, and who mends entries by them, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from dataclasses import replace

from flotilla.events import Event
from flotilla.events.archive_file import logs_in
from flotilla.primitives.retention import expires_at
from flotilla.read_model import Entry
from flotilla.retention_ports import Kept, Mended, ScanPage, Standing
from tests.fakes import MemoryEventLog
from tests.fakes.archive import MemoryArchive


class MemoryLogRetention:
    """`LogRetention` over an event log in memory, from which it drops what has expired when it is told to."""

    def __init__(self, log: MemoryEventLog, retention_days: int) -> None:
        self._log = log
        self._retention_days = retention_days
        self._extended: dict[tuple[str, int], int] = {}
        self.writes = 0

    async def extend(self, events: Sequence[Event], until: int) -> int:
        await asyncio.sleep(0)
        extended = 0
        for event in events:
            self.writes += 1
            if event.seq in self._log.logs.get(event.task_id, {}) and self.expires_at(event) < until:
                self._extended[event.task_id, event.seq] = until
                extended += 1
        return extended

    def expires_at(self, event: Event) -> int:
        return self._extended.get((event.task_id, event.seq)) or expires_at(event, self._retention_days)

    def drop(self, now_ms: int) -> None:
        """Drop every event whose time is over, at once: DynamoDB takes longer."""
        for task_id, log in list(self._log.logs.items()):
            kept = {seq: event for seq, event in log.items() if self.expires_at(event) > now_ms // 1000}
            if kept:
                self._log.logs[task_id] = kept
            else:
                del self._log.logs[task_id]


class MemoryRetentionLedger:
    """`RetentionLedger` in dictionaries."""

    def __init__(self) -> None:
        self.marks: dict[str, int] = {}
        self.kept: dict[str, Kept] = {}

    async def reached(self, tenant: str) -> int:
        await asyncio.sleep(0)
        return self.marks.get(tenant, 0)

    async def advance(self, tenant: str, reached_ms: int) -> None:
        await asyncio.sleep(0)
        self.marks[tenant] = reached_ms

    async def remember(self, task: Kept) -> None:
        await asyncio.sleep(0)
        self.kept[task.task_id] = task

    async def due(self, now_ms: int) -> Sequence[Kept]:
        await asyncio.sleep(0)
        return [task for task in self.kept.values() if task.look_at_ms <= now_ms]

    async def forget(self, task_id: str) -> None:
        await asyncio.sleep(0)
        self.kept.pop(task_id, None)


class MemoryLogScan:
    """`LogScan` over an event log in memory; a task is in the segment that its id says."""

    def __init__(self, log: MemoryEventLog) -> None:
        self._log = log
        self.pages = 0

    async def page(self, segment: int, segments: int, cursor: str | None, *, limit: int) -> ScanPage:
        self.pages += 1
        await asyncio.sleep(0)
        mine = [task_id for task_id in sorted(self._log.logs) if sum(task_id.encode()) % segments == segment]
        events = [event for task_id in mine for _, event in sorted(self._log.logs[task_id].items())]
        start = 0 if cursor is None else int(cursor)
        end = start + limit
        return ScanPage(events[start:end], str(end) if end < len(events) else None)


class MemoryArchiveScan:
    """`ArchiveScan` over an archive in memory."""

    def __init__(self, archive: MemoryArchive) -> None:
        self._archive = archive

    async def keys(self, after: str | None, *, limit: int) -> list[str]:
        await asyncio.sleep(0)
        return sorted(key for key in self._archive.objects if after is None or key > after)[:limit]

    async def logs(self, key: str) -> list[list[Event]]:
        await asyncio.sleep(0)
        return list(logs_in(self._archive.objects[key]).values()) if key in self._archive.objects else []


class MemoryEntryMender:
    """`EntryMender` over `entries`, which are kept by task id."""

    def __init__(self, entries: MutableMapping[str, Entry]) -> None:
        self._entries = entries

    async def mend(self, entry: Entry, over: Standing | None = None) -> Mended:
        await asyncio.sleep(0)
        found = self._entries.get(entry.task_id)
        wanted = entry
        if found is not None and _standing(found) != over:
            if found.head_seq > entry.head_seq:
                return Mended(False, _standing(found))
            if found.head_seq == entry.head_seq and entry.status.terminal:
                looks_ms = None if entry.look_at_ms is None else found.look_at_ms
                wanted = replace(entry, archive_key=entry.archive_key or found.archive_key, look_at_ms=looks_ms)
            elif found.head_seq == entry.head_seq:
                wanted = replace(entry, look_at_ms=found.look_at_ms or entry.look_at_ms)
        self._entries[entry.task_id] = wanted
        return Mended(found != wanted, _standing(wanted))


def _standing(entry: Entry) -> Standing:
    return Standing(entry.head_seq, entry.archive_key)
