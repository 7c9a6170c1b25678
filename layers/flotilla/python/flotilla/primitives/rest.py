"""Whether a process that has nothing to do is about to stand still for long, judged by how long it did before.

Times are those of the machine's clock: while a process is frozen no other goes on for certain.
"""

from __future__ import annotations

LONG_MS = 5_000
"""From here on a rest is long: what a process holds for its own next use would be better off with others."""


class Rests:
    """The rests of one process between two pieces of work."""

    def __init__(self) -> None:
        self._ended_ms: int | None = None
        self._usual_ms: int | None = None

    def begin(self, now_ms: int) -> None:
        """Work begins."""
        if self._ended_ms is None:
            return
        rested_ms = max(0, now_ms - self._ended_ms)
        # The newest counts as much as all before it: a lane that falls quiet is noticed after a rest or two.
        self._usual_ms = rested_ms if self._usual_ms is None else (self._usual_ms + rested_ms) // 2

    def end(self, now_ms: int) -> bool:
        """Work ends; whether a long rest is to be expected, as it is by a process that has not had one yet."""
        self._ended_ms = now_ms
        return self._usual_ms is None or self._usual_ms >= LONG_MS
