"""Splits the time of one invocation among the attempts that shared it.

Lambda bills the invocation once however many tasks it ran; each attempt is charged an equal
share of every moment it was running in.
"""

from __future__ import annotations


class SharedMeter:
    """Accrues shared time. Times are in milliseconds and must not go back."""

    def __init__(self) -> None:
        self._shares: dict[str, float] = {}
        self._last_ms = 0

    def start(self, key: str, now_ms: int) -> None:
        """`key` is running from now on."""
        self._accrue(now_ms)
        self._shares[key] = 0.0

    def stop(self, key: str, now_ms: int) -> int:
        """`key` runs no more; returns its share in whole milliseconds, rounded up as Lambda does."""
        self._accrue(now_ms)
        return -int(-self._shares.pop(key) // 1)

    def _accrue(self, now_ms: int) -> None:
        if self._shares:
            share = max(0, now_ms - self._last_ms) / len(self._shares)
            for key in self._shares:
                self._shares[key] += share
        self._last_ms = now_ms
