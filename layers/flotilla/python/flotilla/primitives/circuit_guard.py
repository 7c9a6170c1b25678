"""What one environment does by itself: it stops calling when nothing it calls succeeds any more.

It stands behind the shared circuit, for when the store is down and for when only this environment is ill, which must
not open the circuit for all. Failures in a row suffice here, and so many of them that chance does not make them:
at one failed call in ten, eight in a row are one in a hundred million.

    calling ── failures in a row ──> holding ── over ──> one call ── failed ──> holding twice as long
       ^                                                    └ succeeded ┐
       └────────────────────────────────────────────────────────────────┘
"""

from __future__ import annotations

FAILURES = 8
FIRST_HOLD_MS = 1_000
LONGEST_HOLD_MS = 30_000
TRIAL_MS = 30_000
"""How long the one call is waited for before another may be made."""

_LARGEST_EXPONENT = 16


class LocalGuard:
    """Consecutive failures in the memory of one environment. Times are passed in."""

    def __init__(self) -> None:
        self._failures = 0
        self._holds = 0
        self._free_ms: int | None = None

    @property
    def streak(self) -> int:
        """Failures in a row, as of now."""
        return self._failures

    def hold_ms(self, now_ms: int, failures: int = FAILURES) -> int:
        """Milliseconds to hold back where so many calls failed in a row; 0 where a call may be made.

        After a hold that is one call, whose outcome decides.
        """
        if self._failures < failures:
            return 0
        if self._free_ms is None:
            self._free_ms = now_ms + min(FIRST_HOLD_MS * 2 ** min(self._holds, _LARGEST_EXPONENT), LONGEST_HOLD_MS)
            self._holds += 1
        if now_ms < self._free_ms:
            return self._free_ms - now_ms
        self._free_ms = now_ms + TRIAL_MS
        return 0

    def failed(self) -> None:
        """A call failed: the hold, if there is one, begins anew."""
        self._failures += 1
        self._free_ms = None

    def passed(self) -> None:
        """A call succeeded."""
        self._failures = self._holds = 0
        self._free_ms = None
