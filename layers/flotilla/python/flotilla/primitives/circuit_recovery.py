"""How what has waited for a dependency comes back to it: at little more than the rate of before, not all at once.

    calls a minute
    usual x 1.3  ┤                      ┌─────────────────────────────┬── twice as many each minute ── no bound
    usual        ┤──────┐              │  what comes, and what waited│
    0            ┤      └── open ── ramp┘                             │
                     trip          well again          all is done; at most a quarter of an hour

Work that is refused comes again at a random moment of the next third of the time that it takes to do all that waits at
this rate: about as long as the outage has lasted. So what looks again in vain stays in proportion to what is done, and
nothing has to count what waits.

Times are milliseconds since the epoch, random numbers uniform over [0, 1).
"""

from __future__ import annotations

from collections.abc import Iterable

from flotilla.primitives.circuit import CircuitMode, CircuitRecord, CircuitState
from flotilla.primitives.circuit_policy import CircuitPolicy
from flotilla.primitives.circuit_window import FAILED, OK, SUB_BUCKET_MS, SubBucket
from flotilla.primitives.token_bucket import Limit

EASE_PERCENT = 130
"""Of the usual rate, while what has waited is done besides."""

LEAST_PER_MINUTE = 60
"""No dependency is spared more than that: what was called less often before can take a call a second."""

LONGEST_SPREAD_MS = 900_000
LONGEST_EASE_MS = 900_000
_EASE_PERCENT_OF_WHOLE = 140
"""Of the time that what has waited takes at the least: some of it comes back late, at random."""

_SHORTEST_EASE_MS = 10_000
_DOUBLING_MS = 60_000
_DOUBLINGS = 4
_BURST_MS = 500
_LOOKS = 3
"""How often work looks in the time that all of it takes. Less often would cost less, and leave a dependency idle where
less has come in an outage than did before."""

_REPORT_LATENESS = 1.5


def usual_per_minute(buckets: Iterable[SubBucket], now_ms: int, policy: CircuitPolicy, counts_from_ms: int = 0) -> int:
    """Calls a minute that the fleet made lately; 0 where nobody can tell.

    Of spans only whose reports have all come in: in those after, successes are missing, and there may be more failures
    than calls would be made otherwise, since each is made again.
    """
    oldest_ms = max(now_ms - policy.window_ms, counts_from_ms)
    ripe_ms = now_ms - int(policy.report_every_ms * _REPORT_LATENESS)
    ripe = [one for one in buckets if one.start_ms >= oldest_ms and one.start_ms + SUB_BUCKET_MS <= ripe_ms]
    if not ripe:
        return 0
    volume = sum(one.columns.get(OK, 0) + one.columns.get(FAILED, 0) for one in ripe)
    span_ms = max(one.start_ms for one in ripe) + SUB_BUCKET_MS - min(one.start_ms for one in ripe)
    return volume * 60_000 // span_ms


def eased(record: CircuitRecord, now_ms: int) -> Limit | None:
    """How often may be called for now; None where there is nothing to be eased, or no longer."""
    if record.mode is not CircuitMode.AUTO or record.usual_per_minute == 0 or record.recovered_at_ms == 0:
        return None
    whole_ms = _whole_ms(record.usual_per_minute, record.outage_ms)
    ease_ms = min(max(whole_ms * _EASE_PERCENT_OF_WHOLE // 100, _SHORTEST_EASE_MS), LONGEST_EASE_MS)
    doublings = max(0, now_ms - record.recovered_at_ms - ease_ms + _DOUBLING_MS) // _DOUBLING_MS
    if doublings > _DOUBLINGS:
        return None
    rate = max(record.usual_per_minute * EASE_PERCENT // 100, LEAST_PER_MINUTE) << doublings
    return Limit(rate, max(1, rate * _BURST_MS // 60_000))


def spread_ms(record: CircuitRecord, now_ms: int, fraction: float) -> int:
    """Milliseconds until work comes again that was refused in or after an outage.

    Uniform over a part of the time that it takes to do what has come meanwhile, beside what still comes.
    """
    if record.mode is not CircuitMode.AUTO or record.usual_per_minute == 0:
        return 0
    if record.state in (CircuitState.OPEN, CircuitState.HALF_OPEN):
        lasted_ms, gone_ms = max(0, now_ms - record.opened_at_ms), 0
    else:
        lasted_ms, gone_ms = record.outage_ms, max(0, now_ms - record.recovered_at_ms)
    whole_ms = _whole_ms(record.usual_per_minute, lasted_ms)
    return int(fraction * min(max(whole_ms - gone_ms, whole_ms // 3) // _LOOKS, LONGEST_SPREAD_MS))


def _whole_ms(usual_per_minute: int, lasted_ms: int) -> int:
    """What it takes to do all that came in so long an outage, beside what comes anyway."""
    room = max(usual_per_minute * (EASE_PERCENT - 100) // 100, LEAST_PER_MINUTE - usual_per_minute)
    return lasted_ms * usual_per_minute // max(1, room)
