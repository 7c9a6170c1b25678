"""What usage is told from, in memory: a process that works as told, archived logs, what hours came to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from flotilla.errors import CorruptLogError, StoreUnavailableError
from flotilla.events import Event
from flotilla.primitives.usage_hour import UsageHour


@dataclass
class ToldProcess:
    """`ProcessGauge` that stands where it was put."""

    memory_mb: int = 1024
    spent_us: int = 0
    peak_mb: int | None = 120

    def cpu_us(self) -> int:
        return self.spent_us

    def peak_memory_mb(self) -> int | None:
        return self.peak_mb


@dataclass
class MemoryFinishedLogs:
    """`FinishedLogs` in a dictionary."""

    objects: dict[str, list[list[Event]]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    down: bool = False
    read: list[str] = field(default_factory=list)

    async def keys(self, after: str | None, *, limit: int) -> list[str]:
        await asyncio.sleep(0)
        if self.down:
            raise StoreUnavailableError("the archive did not answer")
        return sorted(key for key in self.objects.keys() | self.broken if key > (after or ""))[:limit]

    async def logs(self, key: str) -> list[list[Event]]:
        await asyncio.sleep(0)
        self.read.append(key)
        if key in self.broken:
            raise CorruptLogError("no logs")
        return self.objects.get(key, [])


class MemoryUsageHours:
    """`UsageHours` in a dictionary. What it keeps is a copy, made through JSON."""

    def __init__(self) -> None:
        self.hours: dict[int, UsageHour] = {}
        self.whole: int | None = None
        self.puts = 0

    async def put(self, hour: UsageHour) -> None:
        await asyncio.sleep(0)
        self.puts += 1
        self.hours[hour.begins_ms] = UsageHour.from_json(hour.to_json())

    async def get(self, begins_ms: int) -> UsageHour | None:
        await asyncio.sleep(0)
        found = self.hours.get(begins_ms)
        return None if found is None else UsageHour.from_json(found.to_json())

    async def begun(self, since_ms: int, until_ms: int) -> Sequence[int]:
        await asyncio.sleep(0)
        return sorted(begins_ms for begins_ms in self.hours if since_ms <= begins_ms < until_ms)

    async def whole_until(self) -> int | None:
        await asyncio.sleep(0)
        return self.whole

    async def set_whole_until(self, until_ms: int) -> None:
        await asyncio.sleep(0)
        self.whole = until_ms
