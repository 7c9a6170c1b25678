"""Which state an alarm comes into: M of N, with what CloudWatch does about data points that are missing.

It looks at more periods than it needs (the evaluation range). With enough points among them it takes the newest and
asks nobody about the gaps; with too few it fills up with what is to be made of missing data, as few as possible, and
takes every real point into account.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Point = bool | None
"""Breaching, or not, or missing."""

EXTRA_PERIODS = 2
"""How many more than it needs it looks at. CloudWatch does not say; in its examples it is 5 for 3."""


def state(points: Sequence[Point], *, bad: int, periods: int, missing: str, now: State) -> State:
    """The state that follows from the newest points.

    Args:
        points: Of the evaluation range, the newest last.
        bad: Datapoints to alarm.
        periods: Evaluation periods.
        missing: How missing data are treated.
        now: The state it is in.
    """
    real = [point for point in points if point is not None]
    if len(real) >= periods:
        return "ALARM" if sum(real[-periods:]) >= bad else "OK"
    if missing in ("breaching", "notBreaching"):
        filled = (periods - len(real)) * (missing == "breaching")
        return "ALARM" if sum(real) + filled >= bad else "OK"
    if not real:
        return "INSUFFICIENT_DATA" if missing == "missing" else now
    if sum(real) >= bad:
        return "ALARM"
    if _premature(points, bad, periods):
        return "ALARM" if missing == "missing" else now
    return "OK"


def _premature(points: Sequence[Point], bad: int, periods: int) -> bool:
    """The oldest breaching point is as old as so many that must be, and nothing was good.

    Nothing in the whole range: of the documented examples `- - - X -` is raised and `0 - X - -` is not.
    """
    recent = list(points[-periods:])
    return False not in points and True in recent and len(recent) - recent.index(True) >= bad
