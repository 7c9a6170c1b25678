"""Ports of integrations in memory."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.fault_lab.script import Running, Script
from flotilla.errors import ParkedError, StoreUnavailableError
from flotilla.integration_ports import (
    CallAsk,
    CrowdedError,
    HttpAnswer,
    HttpBounds,
    HttpRequest,
    NoAnswerError,
    NotSentError,
    UnusableAnswerError,
)
from flotilla.primitives.circuit import CallOutcome


class MemoryTransport:
    """`HttpTransport` to one dependency that does as a script says, on the time of the loop that runs.

    Attributes:
        reachable: Whether a connection comes about.
        crowded: Whether there is one left.
        sent: What got through to it, and when, in seconds since the script began.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._running: Running | None = None
        self._began = 0.0
        self.reachable = True
        self.crowded = False
        self.sent: list[tuple[float, HttpRequest]] = []

    def follow(self, script: Script) -> None:
        """From now on do as `script` says."""
        self._script, self._running = script, None

    async def send(self, request: HttpRequest, bounds: HttpBounds) -> HttpAnswer:
        now = asyncio.get_running_loop().time()
        if self._running is None:
            self._running, self._began = Running(self._script, now), self._began or now
        if self.crowded:
            raise CrowdedError("all connections to it are in use")
        if not self.reachable:
            raise NotSentError("it could not be reached")
        self.sent.append((now - self._began, request))
        chosen = self._running.meets(now)
        reply = chosen.reply
        latency = float("inf") if reply.fault == "stall" else chosen.latency_ms / 1000
        if latency > bounds.read_seconds:
            await asyncio.sleep(bounds.read_seconds)
            raise NoAnswerError("it did not answer in time", code="integration_timeout")
        await asyncio.sleep(latency)
        if reply.fault in ("reset", "cut"):
            raise NoAnswerError("the connection broke before its answer was whole")
        body = reply.body if reply.body is not None else _seen(request)
        if reply.fault == "drip":
            await asyncio.sleep(len(body) * reply.drip_ms / 1000)
        if len(body) > bounds.body_bytes:
            raise UnusableAnswerError(f"the answer is longer than the {bounds.body_bytes} bytes that are allowed")
        headers = tuple((name.lower(), value) for name, value in reply.headers.items())
        return HttpAnswer(reply.status, headers, body)


def _seen(request: HttpRequest) -> bytes:
    seen = {
        "method": request.method,
        "path": request.target,
        "headers": dict(request.headers),
        "body": (request.body or b"").decode(),
    }
    return json.dumps(seen).encode()


@dataclass
class MemorySecrets:
    """`Secrets` in a dictionary; counts reads. A test may let it be down."""

    texts: dict[str, str] = field(default_factory=dict)
    reads: int = 0
    down: bool = False

    async def read(self, name: str) -> str:
        self.reads += 1
        await asyncio.sleep(0)
        if self.down:
            raise StoreUnavailableError("the secrets did not answer", code="secrets_unavailable")
        if name not in self.texts:
            raise ParkedError(f"the secret {name} cannot be read", code="integration_secret", retry_after_seconds=30)
        return self.texts[name]


@dataclass
class Recorded:
    """What one permit was told."""

    outcome: CallOutcome
    duration_ms: int
    retry_after_ms: int | None


class MemoryProtection:
    """`Protection` that lets everything through until it is told otherwise, and keeps what it is told.

    Attributes:
        refusal: What it raises instead of letting a call through.
        hold_after: What it says holds calls back.
        working: Whether it says that other calls succeed.
        asked: Every ask that was let through.
        asked_since: Since when it was asked whether others succeed.
        recorded: By the number of the permit.
    """

    def __init__(self) -> None:
        self.refusal: Callable[[int], ParkedError | None] = lambda _number: None
        self.hold_after: ParkedError | None = None
        self.working = True
        self.asked: list[CallAsk] = []
        self.asked_since: list[int] = []
        self.recorded: dict[int, Recorded] = {}
        self.flushed = 0
        self._numbers = itertools.count()

    async def acquire(self, ask: CallAsk) -> MemoryPermit:
        number = next(self._numbers)
        if (refusal := self.refusal(number)) is not None:
            raise refusal
        self.asked.append(ask)
        return MemoryPermit(self, number)

    async def held(self) -> ParkedError | None:
        return self.hold_after

    async def works(self, since_ms: int) -> bool:
        self.asked_since.append(since_ms)
        return self.working

    async def flush(self) -> None:
        self.flushed += 1

    def outcomes(self) -> list[CallOutcome]:
        return [recorded.outcome for _, recorded in sorted(self.recorded.items())]


@dataclass
class MemoryPermit:
    """One call's leave."""

    protection: MemoryProtection
    number: int

    async def record(self, outcome: CallOutcome, duration_ms: int, retry_after_ms: int | None = None) -> None:
        assert self.number not in self.protection.recorded, "recorded twice"
        self.protection.recorded[self.number] = Recorded(outcome, duration_ms, retry_after_ms)
