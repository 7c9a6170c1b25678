"""The event loop and the threads of a worker process.

One loop lives as long as the process: clients, locks and tasks belong to it, and making a new
one for every invocation would cost more than a no-op task.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar

T = TypeVar("T")


class ThreadRunner:
    """`RunSync` on a pool of threads.

    Args:
        name: Prefix of the threads' names.
        max_workers: Threads at the most; further calls wait their turn.
    """

    def __init__(self, name: str, max_workers: int) -> None:
        self._executor = ThreadPoolExecutor(max_workers=max_workers, thread_name_prefix=name)

    async def __call__(self, function: Callable[..., T], *args: Any) -> T:
        """Call `function(*args)` on a thread, in the caller's context variables."""
        call = partial(contextvars.copy_context().run, function, *args)
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end on the process's loop; for the synchronous entry point of a function.

    A task of somebody else's making that calls `sys.exit` stops the loop, wherever it stands. The
    exit is that task's own result; the loop goes on with the others.
    """
    loop = _loop()
    task = loop.create_task(work)
    while True:
        try:
            return loop.run_until_complete(task)
        except SystemExit:
            if task.done():
                raise
