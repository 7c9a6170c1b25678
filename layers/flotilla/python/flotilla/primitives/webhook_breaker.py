"""A circuit breaker for one webhook endpoint, kept in the endpoint's own record.

    closed ── FAILURES in a row, or it asked for a pause ──> open ── cooldown over ──> one probe
       ^                                                      ^                          │   │
       └───────────────── any success ────────────────────────┼──────────────────────────┘   │
                                                              └── probe failed: longer cooldown

Consecutive failures suffice here: one endpoint gets few calls, each of them a delivery that is kept and tried again.
The probe's right is a lease, so a prober that dies delays the next one and blocks none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from flotilla.broadcast import Breaker

FAILURES = 5
COOLDOWN_SECONDS = 30.0
LONGEST_COOLDOWN_SECONDS = 1800.0
LONGEST_PAUSE_SECONDS = 3600.0
"""No endpoint can stop its own deliveries for longer by asking for it once."""

PROBE_LEASE_SECONDS = 30.0
"""Longer than one attempt can take."""

_LARGEST_EXPONENT = 16


@dataclass(frozen=True, slots=True)
class Pass:
    """Closed: deliver."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Open: look again after this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Probe:
    """Half-open: whoever manages to store `claimed` makes the one attempt."""

    claimed: Breaker


def look(breaker: Breaker, now_ms: int) -> Pass | Hold | Probe:
    """What a delivery may do."""
    if breaker.opened == 0:
        return Pass()
    if breaker.until_ms > now_ms:
        return Hold((breaker.until_ms - now_ms) / 1000)
    return Probe(replace(breaker, until_ms=now_ms + int(PROBE_LEASE_SECONDS * 1000)))


def succeeded(_breaker: Breaker) -> Breaker:
    """After a success, whoever had it: the endpoint is well."""
    return Breaker()


def failed(
    breaker: Breaker, now_ms: int, *, probe: bool, fraction: float, pause_seconds: float | None = None
) -> Breaker:
    """After a failure.

    Args:
        breaker: As it is now.
        now_ms: Now.
        probe: It was the probe. Else it began before the breaker opened, and an open breaker stays as it is.
        fraction: Uniform random number in [0, 1): half of the cooldown is jitter.
        pause_seconds: What the endpoint asked for. It opens the breaker by itself: nobody else's delivery is welcome
            there either.
    """
    if breaker.opened and not probe:
        return breaker
    failures = breaker.failures + 1
    if not probe and failures < FAILURES and not pause_seconds:
        return replace(breaker, failures=failures)
    opened = breaker.opened + 1
    cooldown = min(COOLDOWN_SECONDS * 2.0 ** min(opened - 1, _LARGEST_EXPONENT), LONGEST_COOLDOWN_SECONDS)
    cooldown *= 0.5 + fraction / 2
    seconds = max(cooldown, min(pause_seconds or 0.0, LONGEST_PAUSE_SECONDS))
    return Breaker(failures=failures, opened=opened, until_ms=now_ms + int(seconds * 1000))
