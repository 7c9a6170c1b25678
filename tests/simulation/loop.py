"""Virtual time, and an asyncio event loop for each simulated process.

Invariants: callbacks run in the order of their virtual time, those of the same time in the order they were asked for,
which is asyncio's own order. A process that died never runs again: no callback, no `finally`, no `except` of its code.
A frozen one runs what it missed once it is thawed, as Lambda's environments do between two invocations.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from heapq import heappop, heappush
from typing import Any

MAX_STEPS = 300_000
"""Callbacks after which a history is called a livelock."""


class LivelockError(Exception):
    """The history goes on and on."""


class Timer:
    """Something to be called, now or later; the part of `asyncio.Handle` that asyncio itself uses."""

    __slots__ = ("args", "callback", "context", "live", "loop", "time")

    def __init__(
        self, time: float, loop: ProcessLoop | None, callback: Callable[..., object], args: Any, context: Context | None
    ) -> None:
        self.time = time
        self.loop = loop
        self.callback = callback
        self.args = args
        self.context = context
        self.live = True

    def cancel(self) -> None:
        self.live = False

    def cancelled(self) -> bool:
        return not self.live

    def when(self) -> float:
        return self.time


class Scheduler:
    """All there is to happen, in order of virtual time.

    Attributes:
        now: Seconds since the history began.
        ready: What is to be called at this moment.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self.ready: deque[Timer] = deque()
        self._later: list[tuple[float, int, Timer]] = []
        self._order = 0

    def at(
        self,
        time: float,
        loop: ProcessLoop | None,
        callback: Callable[..., object],
        args: Any = (),
        context: Context | None = None,
    ) -> Timer:
        """Call at `time`. Without a loop it is the world's own doing, which nothing kills."""
        timer = Timer(time, loop, callback, args, context)
        self._order += 1
        heappush(self._later, (time, self._order, timer))
        return timer

    def next_time(self) -> float | None:
        """When something happens next; None if nothing ever does."""
        if self.ready:
            return self.now
        while self._later and not self._later[0][2].live:
            heappop(self._later)
        return self._later[0][0] if self._later else None

    def run(self, until: float, done: Callable[[], bool]) -> None:
        """Let things happen until `done`, or nothing is left before `until`.

        Raises:
            LivelockError: It does not come to an end.
        """
        ready, later = self.ready, self._later
        running: ProcessLoop | None = None
        outer = events._get_running_loop()
        events._set_running_loop(None)
        try:
            while True:
                while ready:
                    timer = ready.popleft()
                    if not timer.live:
                        continue
                    loop = timer.loop
                    if loop is not running:
                        events._set_running_loop(loop)
                        running = loop
                    if loop is not None and loop.halted:
                        loop.missed(timer)
                        continue
                    self.steps += 1
                    if timer.context is None:
                        timer.callback(*timer.args)
                    else:
                        timer.context.run(timer.callback, *timer.args)
                if done() or not later or later[0][0] > until:
                    return
                if self.steps > MAX_STEPS:
                    raise LivelockError(f"{self.steps} steps in {self.now:.0f} simulated seconds")
                time, _, timer = heappop(later)
                if timer.live:
                    self.now = max(self.now, time)
                    ready.append(timer)
        finally:
            events._set_running_loop(outer)


class ProcessLoop(asyncio.AbstractEventLoop):
    """The event loop of one simulated process. All share the scheduler.

    Attributes:
        halted: Nothing of it runs: it is dead or frozen.
        owner: The process.
    """

    def __init__(self, scheduler: Scheduler, owner: Any) -> None:
        self.halted = False
        self.owner = owner
        self._scheduler = scheduler
        self._dead = False
        self._missed: list[Timer] = []
        self._soon = scheduler.ready.append
        self._tasks: list[asyncio.Task[Any]] = []

    def die(self) -> None:
        """Never run anything of this process again."""
        self.halted = self._dead = True
        self._missed.clear()

    def freeze(self) -> None:
        """Run nothing until `thaw`."""
        self.halted = True

    def thaw(self) -> None:
        """Go on, first with what fell due meanwhile."""
        if self._dead:
            return
        self.halted = False
        missed, self._missed = self._missed, []
        for timer in missed:
            if timer.live:
                self._scheduler.at(self._scheduler.now, self, timer.callback, timer.args, timer.context)

    def missed(self, timer: Timer) -> None:
        """It fell due while the process was halted."""
        if not self._dead:
            self._missed.append(timer)

    def clear(self) -> None:
        """Dispose of what is still suspended. To be called when nobody looks at the history any more."""
        self.die()
        events._set_running_loop(self)
        try:
            while self._tasks:
                task = self._tasks.pop()
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    coroutine: Any = task.get_coro()
                    for _ in range(20):  # what it awaits in an `except` or `finally` is not answered either
                        with contextlib.suppress(BaseException):
                            coroutine.close()
                            break
        finally:
            events._set_running_loop(None)

    # What asyncio asks of a loop, as far as code without I/O needs it.

    def time(self) -> float:
        return self._scheduler.now

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Timer:  # type: ignore[override]
        timer = Timer(0.0, self, callback, args, context)
        self._soon(timer)
        return timer

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Timer:
        return self._scheduler.at(self._scheduler.now + delay, self, callback, args, context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Timer:
        return self._scheduler.at(when, self, callback, args, context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        task = asyncio.Task(coro, loop=self, **options)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody retrieved; the history's checker judges what came of it."""

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._dead

    def is_closed(self) -> bool:
        return False
