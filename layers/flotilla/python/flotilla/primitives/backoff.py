"""How long to wait before the next attempt.

Exponential backoff with full jitter: uniform over [0, min(cap, base * 2^(n-1))]. Full jitter
spreads a herd of equal failures over the whole interval instead of moving it as one.
Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

_LARGEST_EXPONENT = 32  # beyond it every sane cap has long been reached; keeps the power bounded


def full_jitter_seconds(
    failures: int,
    *,
    base_seconds: float,
    cap_seconds: float,
    fraction: float,
    at_least_seconds: float | None = None,
) -> float:
    """Seconds to wait after the `failures`-th failure in a row.

    Args:
        failures: 1 after the first failure.
        base_seconds: Upper bound of the first wait.
        cap_seconds: Upper bound of every wait.
        fraction: Uniform random number in [0, 1), drawn by the caller.
        at_least_seconds: What the other side asked for (`Retry-After`); it wins over the cap,
            since coming sooner would only be refused again.
    """
    ceiling = min(cap_seconds, base_seconds * 2.0 ** min(max(failures, 1) - 1, _LARGEST_EXPONENT))
    wait = ceiling * fraction
    return wait if at_least_seconds is None else max(wait, at_least_seconds)
