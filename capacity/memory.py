"""How much memory a worker needs, and what another size would cost: from what its attempts were measured to do.

Lambda gives a function processor in proportion to its memory: one whole processor at 1,769 MB, with less a share of
one, and more than one is of no use to a worker, which runs on one. So of the time that is billed

    billed(M) = waiting + busy / min(1, M / 1769)        cost(M) = billed(M) * M

waiting does not change with the memory, and being busy takes the longer the less there is. What waits most of the time,
as calls to models do, is cheaper with less; what computes is only slower.

A recommendation is never below the peak that was measured, and a margin: more than it has ends a process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

ONE_PROCESSOR_MB: Final = 1769
LEAST_MB: Final = 128
MOST_MB: Final = 10_240
STEP_MB: Final = 64
MARGIN: Final = 1.3
"""A recommendation is at least so many times the peak."""

SLOWER_AT_MOST: Final = 1.25
"""Attempts may take so many times as long as they do, for the sake of being cheaper."""

FEWEST_ATTEMPTS: Final = 100
"""With fewer it is not known how much memory is needed, or how long an attempt takes."""

WORTH_SHARE: Final = 0.03
"""A saving of a smaller part is none."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a lane's attempts did with one size of memory.

    Attributes:
        billed_ms: Their shares of invocations' time.
        cpu_ms: Their shares of processor time.
        peak_memory_mb: The most that any of their processes has had; None where nobody says.
        compute_usd: What it cost.
    """

    memory_mb: int
    attempts: int
    billed_ms: float
    cpu_ms: float
    peak_memory_mb: int | None
    compute_usd: float

    @property
    def busy(self) -> float:
        """What part of the time that is billed the processor worked, of what it could at this size."""
        return min(1.0, self.cpu_ms / share_of_processor(self.memory_mb) / self.billed_ms) if self.billed_ms else 0.0


@dataclass(frozen=True, slots=True)
class Advice:
    """What to set.

    Attributes:
        memory_mb: How much; what it is, where nothing better is known.
        why: `cheaper`, `too_near_to_its_peak`, `as_it_is`, or `too_little_data`.
        slower: How many times as long attempts would take.
        saves_usd: What the same attempts would have cost less; below nothing where they cost more.
    """

    memory_mb: int
    why: str
    slower: float
    saves_usd: float


def share_of_processor(memory_mb: int) -> float:
    """How much of one processor a function has that uses only one."""
    return min(1.0, memory_mb / ONE_PROCESSOR_MB)


def billed_with(measured: Measured, memory_mb: int) -> float:
    """What time the same attempts would be billed with another size of memory, in milliseconds."""
    busy_ms = min(measured.billed_ms, measured.cpu_ms / share_of_processor(measured.memory_mb))
    waiting_ms = measured.billed_ms - busy_ms
    return waiting_ms + busy_ms * share_of_processor(measured.memory_mb) / share_of_processor(memory_mb)


def advise(measured: Measured, margin: float = MARGIN) -> Advice:
    """What size a lane's workers should have.

    Args:
        measured: What they did.
        margin: How many times the peak is enough.
    """
    now = measured.memory_mb
    if measured.attempts < FEWEST_ATTEMPTS or measured.peak_memory_mb is None or not measured.billed_ms:
        return Advice(now, "too_little_data", 1.0, 0.0)
    least = _step_above(measured.peak_memory_mb * margin)
    if least > now:
        return _changed(measured, least, "too_near_to_its_peak")
    fitting = [
        size
        for size in range(least, now, STEP_MB)
        if billed_with(measured, size) <= measured.billed_ms * SLOWER_AT_MOST
    ]
    best = min(fitting, key=lambda size: billed_with(measured, size) * size, default=now)
    advice = _changed(measured, best, "cheaper")
    worth = measured.compute_usd * WORTH_SHARE
    return advice if best != now and advice.saves_usd > worth else Advice(now, "as_it_is", 1.0, 0.0)


def _changed(measured: Measured, memory_mb: int, why: str) -> Advice:
    slower = billed_with(measured, memory_mb) / measured.billed_ms
    part = slower * memory_mb / measured.memory_mb
    return Advice(memory_mb, why, slower, measured.compute_usd * (1 - part))


def _step_above(memory_mb: float) -> int:
    return min(MOST_MB, max(LEAST_MB, math.ceil(memory_mb / STEP_MB) * STEP_MB))
