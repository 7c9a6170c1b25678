"""Runs an agent's blocking code on threads, and knows which of it is still running.

A thread cannot be stopped. What goes on after its attempt is over is counted, so that the process
does not outlive the invocation (see `Invocation.overrunning`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flotilla.errors import RetryableError
from flotilla.ports import RunSync
from flotilla.services.verdict import verdict_of

T = TypeVar("T")


@dataclass(slots=True)
class Overruns:
    """How many calls still run though nobody waits for them."""

    count: int = 0


class AgentThreads:
    """`RunSync` for the code of one attempt.

    Args:
        run_sync: The threads.
        overruns: Where calls are counted that outlive their caller.

    Attributes:
        overran: A call outlived its caller.
    """

    def __init__(self, run_sync: RunSync, overruns: Overruns) -> None:
        self._run_sync = run_sync
        self._overruns = overruns
        self.overran = False

    async def __call__(self, function: Callable[..., T], *args: Any) -> T:
        """Call `function(*args)` on a thread.

        Raises:
            RetryableError: It raised what is no `Exception`: tried to end the process, say.
            Exception: Whatever else it raises.
        """

        def guarded() -> T:
            try:
                return function(*args)
            except Exception:
                raise
            except BaseException as error:
                # In an asyncio task an exit would end the event loop, and with it the whole batch.
                found = verdict_of(error).error
                raise RetryableError(found.message, code=found.code) from error

        running = asyncio.ensure_future(self._run_sync(guarded))
        try:
            return await asyncio.shield(running)
        finally:
            if not running.done():
                self.overran = True
                self._overruns.count += 1
                running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Future[Any]) -> None:
        self._overruns.count -= 1
        if not running.cancelled():
            running.exception()  # seen, so that the loop does not report it: its attempt is long recorded
