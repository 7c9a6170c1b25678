"""How many workers each lane may have at once, from what waits on it: the scaler's policy.

A worker runs up to a batch of tasks at once and is paid by the second: the fewest workers that keep a lane within its
objective have full batches, and cost the least. More of them make no task faster, they only take it alone.

Invariants, of what is decided where they hold before: a lane's reserved concurrency is never below its mapping's
maximum, and all together reserve no more than the pool. They hold at every moment while a decision is applied in this
order, and if that ends early: lower what is reserved, lower mappings, raise what is reserved (only if the first all
came about), raise mappings.

Refuses to lower a lane of which nothing is known, and to believe a single look: a lane is lowered to the most that it
called for in all of a cooldown. Pure: what is known goes in, what should be comes out. Applying it is `services.scale`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

FULL = 0.9
"""How full the batches should be. At 1 a backlog never shrinks; tasks wait for less than a moment up to here."""

RAISE_ABOVE = 1.1
LOWER_BELOW = 0.75
"""By how much more or less a lane must call for before anything changes. Between them constant work changes nothing."""

REACH = 5
"""Workers that a message in flight may speak for. What waits on a lane that has more for each cannot be handed out: its
sessions are being worked on, and more workers would not help."""

_PATIENT = 5
"""A lane with time for so many rounds may work through a backlog with batches that have no room for more."""

_JITTER_MS = 5_000
"""A schedule is not kept to the second: a cooldown that is so nearly over is over."""

_METRIC_MS = 180_000
"""So long after a change, what metrics say of how many run may be of before it."""


@dataclass(frozen=True, slots=True)
class LaneBounds:
    """Between what a lane is scaled. All concurrencies are invocations at once.

    Attributes:
        minimum: It never has less.
        share: Its own: what of it others borrow while it is idle, it gets back when it has work.
        maximum: With what it borrows; at least `share`.
        batch_size: Tasks that one invocation runs at once.
        objective_ms: How long a task should wait at the most.
        provisioned: Environments that are always kept warm. They follow this number and not the load: they are paid for
            by the second whether they work or not, cost less than others only if they work more than three fifths of
            the time, and take minutes to come; a cold start costs a fraction of a second once.
        round_ms: How long a batch may well take. A backlog is spread over as many rounds as half the objective has room
            for; what takes longer than this grows old, and is spread less.
    """

    minimum: int
    share: int
    maximum: int
    batch_size: int
    objective_ms: int
    provisioned: int = 0
    round_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class LaneLoad:
    """What is measured of a lane now.

    Attributes:
        waiting: Messages that could be handed out.
        in_flight: Messages that are being worked on, or hidden until a retry.
        oldest_ms: Age of the oldest message; None where there is none or it is not known.
        running: Invocations at once, by a metric that may be minutes old; None where it is not known.
    """

    waiting: int
    in_flight: int
    oldest_ms: int | None = None
    running: int | None = None


@dataclass(frozen=True, slots=True)
class LaneScale:
    """What a lane has, and what the policy has to remember of it from one period to the next.

    Attributes:
        concurrency: The maximum concurrency of its event source mapping.
        reserved: The reserved concurrency of its function; at least `concurrency`.
        provisioned: Its provisioned concurrency.
        raised_ms: When its concurrency was last raised; 0 for never.
        lowered_ms: When it was last lowered; 0 for never.
        wanted: What its load called for: more than `concurrency` where that cannot be had yet, or at all. While it
            would do with less: the most that it called for since `calm_ms`.
        calm_ms: Since when it would do with less; 0: it would not.
    """

    concurrency: int
    reserved: int
    provisioned: int = 0
    raised_ms: int = 0
    lowered_ms: int = 0
    wanted: int = 0
    calm_ms: int = 0


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """What is the same for all lanes.

    Attributes:
        pool: What all lanes together may have reserved.
        raise_cooldown_ms: Time between two raises of a lane.
        lower_cooldown_ms: How long a lane must have done with less before it is lowered, and time after any change.
        settle_ms: From when a lane is lowered until what it reserves may be lowered too, where it is not known how many
            of its invocations still run. Less than the scaler's period, or what was lent takes three to come back.
    """

    pool: int
    raise_cooldown_ms: int = 60_000
    lower_cooldown_ms: int = 300_000
    settle_ms: int = 30_000


def decide(
    policy: ScalingPolicy,
    bounds: Mapping[str, LaneBounds],
    loads: Mapping[str, LaneLoad],
    scales: Mapping[str, LaneScale],
    now_ms: int,
) -> dict[str, LaneScale]:
    """What each lane should have now.

    A lane whose load is not known (none in `loads`) keeps what it has. What one lane leaves of its share, lanes that
    call for more than theirs may borrow, the first in `bounds` first. A lane that calls for its share again has it in
    the second period at the latest: in the first, those that borrowed it are lowered, in the second it is moved.

    Args:
        policy: What is the same for all.
        bounds: Of each lane, the most important first. Their shares add up to the pool at the most.
        loads: What is measured of each.
        scales: What each has; only these lanes are decided on.
        now_ms: The time. If it jumps, a cooldown is at worst kept once more or once too few.
    """
    lanes = [name for name in bounds if name in scales and name in loads]
    pool = policy.pool - sum(scales[name].reserved for name in bounds if name in scales and name not in loads)
    called = {name: _call(policy, bounds[name], loads[name], scales[name], now_ms) for name in lanes}
    granted = _grant({name: bounds[name] for name in lanes}, called, pool)
    reserved = _reserve(policy, {name: bounds[name] for name in lanes}, loads, scales, granted, pool, now_ms)
    decided = {name: scale for name, scale in scales.items() if name in bounds}
    for name in lanes:
        before, scale = scales[name].concurrency, called[name]
        after = min(granted[name], reserved[name])
        if after != before:
            stamp = {"raised_ms" if after > before else "lowered_ms": now_ms}
            scale = replace(scale, concurrency=after, calm_ms=0, **stamp)
        else:
            scale = replace(scale, concurrency=before)
        provisioned = min(bounds[name].provisioned, reserved[name])
        decided[name] = replace(scale, reserved=reserved[name], provisioned=provisioned)
    return decided


def _call(policy: ScalingPolicy, bounds: LaneBounds, load: LaneLoad, scale: LaneScale, now_ms: int) -> LaneScale:
    """What the lane calls for by itself, as its concurrency, whether it can be had or not."""
    # A time that is still to come was stamped by a clock that went wrong: it counts as now.
    raised_ms, lowered_ms, calm_ms = (min(at, now_ms) for at in (scale.raised_ms, scale.lowered_ms, scale.calm_ms))
    scale = replace(scale, raised_ms=raised_ms, lowered_ms=lowered_ms)
    has = scale.concurrency
    needed, enough = _demand(bounds, load, has, _running(load, max(raised_ms, lowered_ms), now_ms))
    called, wanted = has, min(has, enough)
    if needed > has * RAISE_ABOVE:
        # Within the cooldown only what had been called for before, and could not be had.
        cooled = now_ms - raised_ms >= policy.raise_cooldown_ms - _JITTER_MS
        wanted = needed if cooled else min(needed, max(scale.wanted, has))
        called, calm_ms = max(has, wanted), 0
    elif enough < has * LOWER_BELOW and has > bounds.minimum:
        # No more than it has: it may have had more when it called for that, before somebody else changed it.
        wanted = min(has, max(enough, scale.wanted if calm_ms else 0))
        calm_ms = calm_ms or now_ms
        if now_ms - max(calm_ms, raised_ms, lowered_ms) >= policy.lower_cooldown_ms - _JITTER_MS:
            # By half at the most: smaller batches end sooner, so what is seen of them is too little for larger ones.
            called = max(wanted, math.ceil(has / 2))
    else:
        calm_ms = 0
    called = min(max(called, bounds.minimum), bounds.maximum)
    return replace(scale, concurrency=called, wanted=wanted, calm_ms=calm_ms)


def _running(load: LaneLoad, changed_ms: int, now_ms: int) -> int | None:
    """How many run, if what is known of it is of after a change."""
    return load.running if not changed_ms or now_ms - min(changed_ms, now_ms) >= _METRIC_MS else None


def _demand(bounds: LaneBounds, load: LaneLoad, has: int, running: int | None) -> tuple[int, int]:
    """(how many workers are needed, how many would be enough for everything at once).

    The first counts what waits by the time that is left for it. The second does not, so that a lane that is not
    wholly known is not lowered for it.
    """
    full = bounds.batch_size * FULL
    # What is hidden until a retry is in flight too, and nobody is working on it.
    workers = has if running is None else min(has, running)
    working = min(load.in_flight, workers * bounds.batch_size)
    # A burst may be seen before the first of it is handed out: the least that a lane has counts as at work.
    reach = REACH * max(load.in_flight, bounds.minimum)
    if reach < has:
        return 0, math.ceil(working / full)
    enough = math.ceil((working + load.waiting) / full)
    if load.waiting <= bounds.batch_size:
        return 0, enough
    left_ms = bounds.objective_ms / 2 - (load.oldest_ms or 0)
    rounds = max(1.0, left_ms / bounds.round_ms)
    # Full batches are all that it takes where there is time: what is at work is the backlog, as long as there is one.
    going_on = working / (full if rounds < _PATIENT else bounds.batch_size)
    needed = math.ceil(max(going_on, (working + load.waiting) / (rounds * full)))
    return min(needed, reach), enough


def _grant(bounds: Mapping[str, LaneBounds], called: Mapping[str, LaneScale], pool: int) -> dict[str, int]:
    """What each lane is to have: of its share what it calls for, and of what all leave, what it may borrow."""
    granted = {name: max(about.minimum, min(called[name].concurrency, about.share)) for name, about in bounds.items()}
    left = pool - sum(granted.values())
    for name in bounds:
        borrowed = min(called[name].concurrency - granted[name], max(0, left))
        granted[name] += borrowed
        left -= borrowed
    return granted


def _reserve(
    policy: ScalingPolicy,
    bounds: Mapping[str, LaneBounds],
    loads: Mapping[str, LaneLoad],
    scales: Mapping[str, LaneScale],
    granted: Mapping[str, int],
    pool: int,
    now_ms: int,
) -> dict[str, int]:
    """What each lane reserves: what it is to have, and the rest of its share as long as nobody borrows it."""
    goals = {name: max(granted[name], about.provisioned) for name, about in bounds.items()}
    left = pool - sum(goals.values())
    for name, about in bounds.items():
        own = min(max(0, about.share - goals[name]), max(0, left))
        goals[name] += own
        left -= own
    reserved = {}
    for name, goal in goals.items():
        scale, running = scales[name], _running(loads[name], scales[name].lowered_ms, now_ms)
        # What may still run has a place: all that the mapping had until now, and what is known or thought to run.
        settled = now_ms - min(scale.lowered_ms, now_ms) >= policy.settle_ms or not scale.lowered_ms
        used = running if running is not None else (0 if settled else scale.reserved)
        reserved[name] = min(scale.reserved, max(goal, scale.concurrency, used))
    left = pool - sum(reserved.values())
    # Those first who only want back what is theirs; what nobody works with comes last.
    for upto in (
        {name: min(granted[name], about.share) for name, about in bounds.items()},
        granted,
        goals,
    ):
        for name in bounds:
            more = min(max(0, upto[name] - reserved[name]), max(0, left))
            reserved[name] += more
            left -= more
    return reserved
