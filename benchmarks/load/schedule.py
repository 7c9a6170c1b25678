"""When tasks are sent: decided before the first one is, so that nothing that happens then can change it.

That is what makes the load open: a server that stalls is sent what it would have been sent anyway, and every moment
that a task waits to be sent counts as its latency.
"""

from __future__ import annotations

import random
from typing import Literal

Arrivals = Literal["constant", "poisson"]


def offsets(arrivals: Arrivals, *, rate: float, seconds: float, seed: int) -> list[float]:
    """Seconds from the beginning at which a task is due, in order.

    Args:
        arrivals: Evenly apart, or as those of many clients who know nothing of each other.
        rate: Tasks a second, on the average.
        seconds: None is due later.
        seed: The same gives the same.
    """
    if arrivals == "constant":
        return [number / rate for number in range(int(rate * seconds))]
    chance = random.Random(seed)
    found: list[float] = []
    at = chance.expovariate(rate)
    while at < seconds:
        found.append(at)
        at += chance.expovariate(rate)
    return found
