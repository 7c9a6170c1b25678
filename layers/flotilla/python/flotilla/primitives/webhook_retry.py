"""When a delivery that failed is tried again.

    at once   5 s ── 30 s ── 2 min ── 10 min ── 30 min ── 1 h ── 3 h ── 6 h ── 12 h ── 18 h ── 24 h ── 30 h
    attempt 1     2       3        4         5         6      7      8      9       10      11      12

One attempt in each window, at a random moment of it (full jitter), so twelve in all and the last after 24 hours at the
earliest. Which window comes next follows from the message's age alone. So the number of the attempt is kept nowhere:
no second message is sent that a crash could double, looks that find the breaker open count for nothing, and a window
that passes while the breaker is open is an attempt that a broken endpoint was spared.
"""

from __future__ import annotations

import bisect
from email.utils import parsedate_to_datetime

WINDOW_ENDS_SECONDS = (5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200, 64_800, 86_400, 108_000)

LONGEST_HOLD_SECONDS = 72 * 3600
"""Age at which a message is given up though the breaker let no attempt through."""

LONGEST_WAIT_SECONDS = 42_000
"""SQS hides a message for twelve hours after its receipt at the most."""

_LONGEST_SPREAD_SECONDS = 300.0
_SHORTEST_SPREAD_SECONDS = 5.0


def next_wait_seconds(age_seconds: float, *, fraction: float, at_least_seconds: float | None = None) -> float | None:
    """Seconds until the next attempt; None where this one was the last.

    Args:
        age_seconds: Of the message, now that an attempt has failed.
        fraction: Uniform random number in [0, 1), drawn by the caller.
        at_least_seconds: What the endpoint asked for (`Retry-After`).
    """
    age = max(0.0, age_seconds)
    window = bisect.bisect_left(WINDOW_ENDS_SECONDS, age)
    if window + 1 >= len(WINDOW_ENDS_SECONDS):
        return None
    begin, end = WINDOW_ENDS_SECONDS[window], WINDOW_ENDS_SECONDS[window + 1]
    wait = begin + fraction * (end - begin) - age
    return min(max(wait, at_least_seconds or 0.0), LONGEST_WAIT_SECONDS)


def hold_seconds(cooldown_left_seconds: float, *, fraction: float) -> float:
    """Seconds until it is worth looking again at an endpoint whose breaker is open.

    Spread over as long again as the breaker stays open, within bounds, so that its backlog does not come at once.

    Args:
        cooldown_left_seconds: Until the breaker lets a probe through.
        fraction: Uniform random number in [0, 1), drawn by the caller.
    """
    spread = min(max(cooldown_left_seconds, _SHORTEST_SPREAD_SECONDS), _LONGEST_SPREAD_SECONDS)
    return min(max(0.0, cooldown_left_seconds) + fraction * spread, LONGEST_WAIT_SECONDS)


def retry_after_seconds(header: str | None, now_ms: int) -> float | None:
    """What a `Retry-After` header asks for, in either of its forms; None where it asks for nothing."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - now_ms / 1000
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds)
