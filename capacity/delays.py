"""The way of a delayed task down the delay ladder, reckoned before there is one.

It is what `flotilla.primitives.ladder` decides, step by step, for a task whose every step takes no time.
"""

from __future__ import annotations

from collections.abc import Sequence

_REACH_SECONDS = 900
_LEAD_SECONDS = 90
_HOLD_SECONDS = 300
_HOP_SECONDS = 60


def hops(tiers_seconds: Sequence[int], delay_seconds: float) -> list[tuple[int, float]]:
    """The tiers that a delayed task goes through, and how long each holds it in place after its own delay.

    As `flotilla.primitives.ladder` places it: into the longest tier that does not take it past its time; what remains
    then is held in place where it is no more than five minutes. Beyond a quarter of an hour a schedule enters it into
    the shortest tier, a minute and a half before its time.
    """
    remaining = delay_seconds if delay_seconds <= _REACH_SECONDS else _LEAD_SECONDS
    path: list[tuple[int, float]] = []
    tier = min(tiers_seconds) if delay_seconds > _REACH_SECONDS else _longest(tiers_seconds, remaining)
    while tier is not None:
        remaining -= tier
        held = 0.0
        while remaining > 0:
            following = None if remaining <= _HOLD_SECONDS else _longest(tiers_seconds, remaining)
            if following is not None and following >= _HOP_SECONDS:
                break
            hold = min(remaining, _HOLD_SECONDS)
            held, remaining = held + hold, remaining - hold
        path.append((tier, held))
        tier = _longest(tiers_seconds, remaining) if remaining > 0 else None
    return path


def _longest(tiers_seconds: Sequence[int], remaining: float) -> int | None:
    return max((tier for tier in tiers_seconds if tier <= remaining), default=None)
