"""How many HTTP API requests the engine works on at once.

The engine starts a process for every request that finds none idle, and a cold start wants a core for half a second or
more. A burst let in at once would start dozens that starve each other, where a few warm ones would have answered all of
it in less time. So the window opens slowly, and only while somebody has to wait. Requests are let in in order of
arrival; none is refused.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """The bounds of admission.

    Attributes:
        first: Requests at work at once to begin with, and again after `idle_seconds` without any: by then the engine
            has ended the processes that it no longer needed.
        most: The largest number that it grows to.
        total: Requests inside at once, counting those that have settled.
        settle_seconds: After this long a request no longer counts against the window: it has its process and most
            likely only waits (a long poll), so it must not keep others out.
        step_seconds: While somebody waits, the window grows by one in every such time.
    """

    first: int = 2
    most: int = 16
    total: int = 48
    settle_seconds: float = 1.0
    step_seconds: float = 1.0
    idle_seconds: float = 240.0


class Admission:
    """Lets requests in; belongs to one event loop."""

    def __init__(self, window: Window) -> None:
        self._bounds = window
        self._width = window.first
        self._at_work = 0
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._growing = False
        self._last_left = float("-inf")

    @property
    def width(self) -> int:
        """How many requests may be at work at once now."""
        return self._width

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Waits for its turn and holds it for the body."""
        await self._turn()
        loop = asyncio.get_running_loop()
        settle = loop.call_later(self._bounds.settle_seconds, self._settled)
        try:
            yield
        finally:
            # Past its time it has settled, or is about to.
            if settle.when() > loop.time():
                settle.cancel()
                self._at_work -= 1
            self._inside -= 1
            self._last_left = loop.time()
            self._let_in()

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._inside and loop.time() - self._last_left > self._bounds.idle_seconds:
            self._width = self._bounds.first
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        self._let_in()
        if not turn.done() and not self._growing:
            self._growing = True
            loop.call_later(self._bounds.step_seconds, self._grow)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._at_work -= 1
                self._inside -= 1
                self._let_in()
            raise

    def _let_in(self) -> None:
        while self._waiting and self._at_work < self._width and self._inside < self._bounds.total:
            turn = self._waiting.popleft()
            if not turn.done():
                self._at_work += 1
                self._inside += 1
                turn.set_result(None)

    def _settled(self) -> None:
        self._at_work -= 1
        self._let_in()

    def _grow(self) -> None:
        self._growing = bool(self._waiting) and self._width < self._bounds.most
        if self._growing:
            self._width += 1
            self._let_in()
            asyncio.get_running_loop().call_later(self._bounds.step_seconds, self._grow)
