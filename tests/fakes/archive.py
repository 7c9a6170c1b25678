"""The archive of finished logs in memory, in the form in which it lies in S3."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from flotilla.events import Event
from flotilla.events.archive_file import logs_in, pack


class MemoryArchive:
    """`Archive` in a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts = 0

    async def put(self, key: str, logs: Sequence[Sequence[Event]]) -> None:
        self.puts += 1
        await asyncio.sleep(0)
        self.objects[key] = pack(logs)

    async def get(self, key: str, task_id: str) -> list[Event]:
        await asyncio.sleep(0)
        return logs_in(self.objects[key]).get(task_id, []) if key in self.objects else []
