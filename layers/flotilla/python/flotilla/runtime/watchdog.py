"""Ends the process when an attempt outlives its lease.

An agent that blocks the event loop can be neither cancelled nor recorded as late. Once its lease
is over another worker may start its task, so this process must be gone by then: that is what makes
an expired lease proof of death. What holds the interpreter lock holds up this thread too; then the
function's own timeout ends the process, and only the commit is safe meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from flotilla.clock import Clock

_EXIT_STATUS = 70  # EX_SOFTWARE


def _end_process() -> None:
    # Not through logging: the thread that is stuck may hold its lock.
    os.write(2, b'{"level":"ERROR","message":"an attempt outlived its lease: ending the process"}\n')
    os._exit(_EXIT_STATUS)


class LeaseWatchdog:
    """`Watchdog` on a daemon thread, which is started by the first `arm`.

    Args:
        clock: The clock that leases are counted by.
        end_process: What to do when a lease is outlived.
    """

    def __init__(self, clock: Clock, end_process: Callable[[], None] = _end_process) -> None:
        self._clock = clock
        self._end_process = end_process
        self._leases: dict[str, int] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def arm(self, key: str, lease_until_ms: int) -> None:
        """From now on `key` must be disarmed before `lease_until_ms`."""
        with self._changed:
            earlier = min(self._leases.values(), default=lease_until_ms + 1)
            self._leases[key] = lease_until_ms
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="lease-watchdog", daemon=True)
                self._thread.start()
            elif lease_until_ms < earlier:
                self._changed.notify()

    def disarm(self, key: str) -> None:
        """`key` ended in time."""
        with self._changed:
            # No wake-up: waking for a lease that is gone is cheaper than waking for every task.
            self._leases.pop(key, None)

    def _watch(self) -> None:
        with self._changed:
            while True:
                next_end = min(self._leases.values(), default=None)
                if next_end is None:
                    self._changed.wait()
                    continue
                left = (next_end - self._clock.now_ms()) / 1000
                if left <= 0:
                    self._end_process()
                    return
                self._changed.wait(left)
