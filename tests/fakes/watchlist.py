"""The watchlist in memory, over the entries of a read model in memory."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import replace

from flotilla.read_model import Entry, SweepMark, Watched


class MemoryWatchlist:
    """`Watchlist` over `entries`, which are kept by task id."""

    def __init__(self, entries: MutableMapping[str, Entry]) -> None:
        self._entries = entries
        self._looks: dict[tuple[str, int], int] = {}
        self.marks: dict[str, SweepMark] = {}

    async def overdue(self, now_ms: int, *, limit: int) -> Sequence[Watched]:
        found = [
            (entry.look_at_ms, self._watched(entry))
            for entry in self._entries.values()
            if entry.look_at_ms is not None and entry.look_at_ms <= now_ms
        ]
        # One shard: the longest overdue of it first.
        return [watched for _, watched in sorted(found, key=lambda each: (each[0], each[1].task_id))][:limit]

    async def look_again(self, watched: Watched, at_ms: int | None) -> None:
        entry = self._entries.get(watched.task_id)
        if entry is None or entry.head_seq != watched.head_seq:
            return
        self._entries[watched.task_id] = replace(entry, look_at_ms=at_ms)
        self._looks[(watched.task_id, watched.head_seq)] = watched.looks

    async def mark(self, sweep: str) -> SweepMark | None:
        return self.marks.get(sweep)

    async def set_mark(self, sweep: str, mark: SweepMark) -> None:
        self.marks[sweep] = mark

    def _watched(self, entry: Entry) -> Watched:
        looks = self._looks.get((entry.task_id, entry.head_seq), 0)
        return Watched(entry.task_id, entry.tenant, entry.created_at_ms, entry.head_seq, looks)


class MemoryLaneDepths:
    """`LaneDepths` that say what they are told to."""

    def __init__(self, **waiting: int) -> None:
        self.depths = waiting
        self.asked: list[str] = []

    async def waiting(self, lane: str) -> int:
        self.asked.append(lane)
        return self.depths.get(lane, 0)
