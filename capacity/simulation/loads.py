"""Shapes of a load over time: each answers a value at a time, in seconds since the start."""

from __future__ import annotations

import math
from collections.abc import Callable

Shape = Callable[[float], float]


def steady(value: float) -> Shape:
    """Always the same."""
    return lambda _at: value


def step(before: float, after: float, at: float) -> Shape:
    """From one value to another at once."""
    return lambda now: before if now < at else after


def ramp(before: float, after: float, start: float, end: float) -> Shape:
    """From one value to another evenly, between two times."""
    return lambda now: before + (after - before) * min(1.0, max(0.0, (now - start) / (end - start)))


def burst(base: float, peak: float, at: float, seconds: float, every: float = math.inf) -> Shape:
    """A base, and for some seconds a peak; again and again after `every` seconds."""
    return lambda now: peak if now >= at and (now - at) % every < seconds else base


def sawtooth(low: float, high: float, period: float) -> Shape:
    """Rises evenly from low to high, and falls back at once."""
    return lambda now: low + (high - low) * ((now % period) / period)


def diurnal(trough: float, peak: float, day: float = 86_400.0) -> Shape:
    """A day: its trough at the start and the end, its peak in the middle, evenly round."""
    return lambda now: trough + (peak - trough) * (1 - math.cos(2 * math.pi * now / day)) / 2
