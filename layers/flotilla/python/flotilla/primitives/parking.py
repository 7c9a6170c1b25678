"""How long parked work waits: long enough to cost little, and not so alike that its release is a stampede.

Random numbers are drawn by the caller, uniform over [0, 1).
"""

from __future__ import annotations

LONGEST_JITTER_SECONDS = 30.0
"""No release is put off by more than this to spread it."""

_FIRST_UNAIDED_SECONDS = 10.0
_LONGEST_UNAIDED_SECONDS = 300.0
_LARGEST_EXPONENT = 16

_FIRST_LOOK_SECONDS = 30.0
_LAST_LOOK_SECONDS = 600.0
_PART_OF_WAIT = 0.05


def release_seconds(retry_after_seconds: float, fraction: float) -> float:
    """Seconds until work that waits for a dependency comes back: never sooner than it may, up to half as late again."""
    return retry_after_seconds + fraction * min(retry_after_seconds / 2, LONGEST_JITTER_SECONDS)


def unaided_seconds(waits: int) -> float:
    """Seconds that work waits for a dependency of which nobody can say when it is back: each wait twice the last.

    Args:
        waits: How often the work has waited before.
    """
    return min(_FIRST_UNAIDED_SECONDS * 2.0 ** min(max(waits, 0), _LARGEST_EXPONENT), _LONGEST_UNAIDED_SECONDS)


def look_again_seconds(waited_seconds: float, fraction: float) -> float:
    """Seconds until a worker looks again whether what holds a task up (a pause, say) is over.

    Uniform over 15 to 45 s. Each look costs a receive of the message, and the queue allows a number of
    those: so who has waited long looks less often, every twentieth part of the wait, and at least every
    quarter of an hour. 500 receives then last for nearly three days.

    Args:
        waited_seconds: How long it has been held up already.
        fraction: Uniform random number.
    """
    middle = min(max(_FIRST_LOOK_SECONDS, waited_seconds * _PART_OF_WAIT), _LAST_LOOK_SECONDS)
    return middle * (0.5 + fraction)
