"""When one environment has seen nothing for long, by its own measure.

What an environment does only now and then, look at the circuit or report a call, tells most at a call that ends a long
pause: more may have happened meanwhile of which it knows nothing. Of calls that come at random, the first after any
given moment ends a pause that is twice as long as usual.

Refuses to say so by what calls came to: what is chosen by when it comes alone stays a fair sample.
"""

from __future__ import annotations

LONG_PAUSE = 3.6
"""So many times as long as usual. Of calls that come at random, one in forty ends such a pause."""

_MEMORY = 16


class Pace:
    """How often calls come."""

    def __init__(self) -> None:
        self._last_ms: int | None = None
        self._usual_ms: float | None = None

    def begins(self, now_ms: int) -> bool:
        """A call begins; whether it ends a long pause."""
        last_ms, self._last_ms = self._last_ms, now_ms
        if last_ms is None:
            return False
        pause_ms, usual_ms = max(0, now_ms - last_ms), self._usual_ms
        self._usual_ms = pause_ms if usual_ms is None else usual_ms + (pause_ms - usual_ms) / _MEMORY
        return usual_ms is not None and pause_ms > LONG_PAUSE * usual_ms
