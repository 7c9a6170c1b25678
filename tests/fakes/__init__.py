"""Ports in memory: real implementations, held to the same contract as the AWS adapters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from flotilla.errors import RetryableError
from flotilla.events import Event
from flotilla.models import Delivery, TaskMessage, canonical_json

T = TypeVar("T")


class ManualClock:
    """A clock that stands until it is told to go on; sleeping moves it at once."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def advance(self, seconds: float) -> None:
        self._now_ms += int(seconds * 1000)

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)


class MemoryEventLog:
    """`EventLog` in a dictionary. What it keeps is a copy, made through JSON as in every real store."""

    def __init__(self) -> None:
        self.logs: dict[str, dict[int, Event]] = {}
        self.appends = 0
        self.reads = 0

    async def append(self, event: Event) -> Event | None:
        self.appends += 1
        await asyncio.sleep(0)
        log = self.logs.setdefault(event.task_id, {})
        existing = log.setdefault(event.seq, _copy(event))
        return None if existing.hash == event.hash else _copy(existing)

    async def read(self, task_id: str) -> list[Event]:
        self.reads += 1
        await asyncio.sleep(0)
        return [_copy(event) for _, event in sorted(self.logs.get(task_id, {}).items())]

    async def head(self, task_id: str) -> Event | None:
        self.reads += 1
        await asyncio.sleep(0)
        log = self.logs.get(task_id, {})
        return _copy(log[max(log)]) if log else None


def _copy(event: Event) -> Event:
    return replace(event, body=json.loads(canonical_json(event.body).encode()))


class MemoryPayloadStore:
    """`PayloadStore` in a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def put(self, key: str, content: bytes) -> None:
        self.objects[key] = content

    async def get(self, key: str) -> bytes:
        try:
            return self.objects[key]
        except KeyError:
            raise RetryableError("no such payload", code="payload_missing") from None


class MemoryLanes:
    """`Lanes` that keep what was sent, one message for each deduplication id."""

    def __init__(self) -> None:
        self.sent: dict[str, TaskMessage] = {}
        self.sends = 0

    async def send(self, message: TaskMessage) -> None:
        self.sends += 1
        self.sent.setdefault(message.deduplication_id, message)

    async def send_batch(self, messages: Sequence[TaskMessage]) -> list[bool]:
        for message in messages:
            await self.send(message)
        return [True] * len(messages)


@dataclass
class MemoryReceipts:
    """`LaneReceipts` that keep what was asked for, in order."""

    visibility: list[tuple[str, int]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    aside: list[tuple[str, str]] = field(default_factory=list)

    async def set_visibility(self, timeouts: Sequence[tuple[Delivery, int]]) -> None:
        self.visibility += [(delivery.message_id, seconds) for delivery, seconds in timeouts]

    async def delete(self, deliveries: Sequence[Delivery]) -> None:
        self.deleted += [delivery.message_id for delivery in deliveries]

    async def put_aside(self, delivery: Delivery, reason: str) -> None:
        self.aside.append((delivery.message_id, reason))


class MemoryWatchdog:
    """`Watchdog` that remembers what is armed."""

    def __init__(self) -> None:
        self.armed: dict[str, int] = {}

    def arm(self, key: str, lease_until_ms: int) -> None:
        self.armed[key] = lease_until_ms

    def disarm(self, key: str) -> None:
        del self.armed[key]


async def run_on_thread(function: Callable[..., T], *args: Any) -> T:
    """`RunSync` on the loop's own threads."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *args)
