"""Runs an agent's blocking code on threads, and knows which of it is still running.

A thread cannot be stopped. What goes on after its attempt is over is counted, so that the process
does not outlive the invocation (see `Invocation.overruns`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from flotilla.errors import AttemptRevokedError, RetryableError
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
        overruns: Where calls are counted that outlive the attempt.
    """

    def __init__(self, run_sync: RunSync, overruns: Overruns) -> None:
        self._run_sync = run_sync
        self._overruns = overruns
        self._running: set[asyncio.Future[Any]] = set()
        self._left = False

    async def __call__(self, function: Callable[..., T], *args: Any) -> T:
        """Call `function(*args)` on a thread.

        Raises:
            RetryableError: It raised what is no `Exception`: tried to end the process, say.
            Exception: Whatever else it raises.
        """
        running = asyncio.ensure_future(self._run_sync(contained, self._unless_left, function, *args))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await asyncio.shield(running)

    def leave(self) -> bool:
        """The attempt is over: count what still runs; True if anything does."""
        self._left = True
        for running in self._running:
            self._overruns.count += 1
            running.add_done_callback(self._ended)
        return bool(self._running)

    def _unless_left(self, function: Callable[..., T], *args: Any) -> T:
        if self._left:
            raise AttemptRevokedError("this attempt is over")  # it waited for a thread until too late
        return function(*args)

    def _ended(self, running: asyncio.Future[Any]) -> None:
        self._overruns.count -= 1
        if not running.cancelled():
            running.exception()  # seen, so that the loop does not report it: its attempt is long recorded


def contained(function: Callable[..., T], *args: Any) -> T:
    """Call `function`; whatever it raises is an `Exception`.

    An exit raised in an asyncio task would end the event loop, and with it the whole batch.
    """
    try:
        return function(*args)
    except Exception:
        raise
    except BaseException as error:
        raise _harmless(error) from error


async def contained_async(function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
    """As `contained`, for a coroutine function; a cancellation passes."""
    try:
        return await function(*args)
    except (Exception, asyncio.CancelledError):
        raise
    except BaseException as error:
        raise _harmless(error) from error


def _harmless(error: BaseException) -> RetryableError:
    found = verdict_of(error).error
    return RetryableError(found.message, code=found.code)
