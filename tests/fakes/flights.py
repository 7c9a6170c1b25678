"""`Flights` in memory."""

from __future__ import annotations

import asyncio


class MemoryFlights:
    """`Flights` in a dictionary: by key, the leader and the epoch second after which it may be forgotten."""

    def __init__(self) -> None:
        self.leaders: dict[str, tuple[str, int]] = {}
        self.calls = 0

    async def lead(self, key: str, task_id: str, *, instead_of: str | None, expires_at: int) -> str:
        self.calls += 1
        await asyncio.sleep(0)
        leader, _ = self.leaders.get(key, (task_id, 0))
        if leader in (task_id, instead_of):
            self.leaders[key] = (task_id, expires_at)
            return task_id
        return leader

    def forget(self, now_seconds: int) -> None:
        """Drop what may be dropped, as a table's time to live does, sooner or later."""
        self.leaders = {key: entry for key, entry in self.leaders.items() if entry[1] >= now_seconds}
