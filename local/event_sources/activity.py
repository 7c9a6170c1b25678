"""Says that something has just happened, so that who would only look again later looks at once."""

from __future__ import annotations

import threading


class Activity:
    """What the sources of one engine tell each other. Thread-safe; a missed word costs time and nothing else."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    @property
    def count(self) -> int:
        """How often something has happened so far."""
        return self._count

    def stir(self) -> None:
        """Something has happened."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait(self, since: int, timeout_seconds: float) -> None:
        """Waits until more has happened than `since`, for `timeout_seconds` at most."""
        with self._changed:
            self._changed.wait_for(lambda: self._count != since, timeout_seconds)
