"""When a worker may be presumed dead.

A lease ends no earlier than its holder: the agent is stopped at its timeout, the rest of the
attempt (recording how it ended) has `GRACE_SECONDS`, and whatever still runs then is killed by the
function's timeout or by the worker's own watchdog. So an expired lease needs no heartbeat to be
believed, only clocks that differ by less than `SKEW_SECONDS`.
"""

from __future__ import annotations

GRACE_SECONDS = 3.0
"""Between an agent's timeout and the end of its lease: time to record how the attempt ended."""

SKEW_SECONDS = 1.0
"""How far apart two machines' clocks are trusted to be. AWS keeps them within milliseconds."""


def agent_budget_seconds(agent_timeout_seconds: float, remaining_seconds: float) -> float:
    """How long an agent may run: its own timeout, or what the function's remaining time leaves for it."""
    return min(agent_timeout_seconds, remaining_seconds - GRACE_SECONDS)


def lease_until_ms(now_ms: int, budget_seconds: float) -> int:
    """The end of the lease of an attempt that starts now."""
    return now_ms + int((budget_seconds + GRACE_SECONDS) * 1000)


def seconds_until_takeover(lease_until: int, now_ms: int) -> float:
    """Seconds until another worker may take over; 0 or less when it may at once."""
    return (lease_until - now_ms) / 1000 + SKEW_SECONDS
