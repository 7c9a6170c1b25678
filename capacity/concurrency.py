"""How many invocations a load takes at once, and how long Lambda takes to have them: Little's law, and ramps.

A worker runs up to `batch_size` tasks in one invocation. The invocation lasts as long as the slowest of them, so full
batches need a tenth of the invocations, and of what these cost. But a batch is full only where work waits: while there
are invocations to spare, the mapping's pollers hand out what is there, most often a single message. So what a load
takes lies between two bounds, and where it lies is set by `maximum_concurrency`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from capacity import quotas
from capacity.fleet_shape import LaneLoad, LaneShape

HEADROOM = 0.8
"""How far what is planned is used. At all of it a queue grows without bound; above this it waits long."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """From nothing to what a load takes.

    Attributes:
        seconds: Until there are so many invocations at once.
        backlog: Tasks that wait by then, if the load came all at once.
        bound_by: What was slower: the mapping, or the function's new environments.
    """

    seconds: float
    backlog: float
    bound_by: str


@dataclass(frozen=True, slots=True)
class LaneConcurrency:
    """What a load takes of a lane.

    Attributes:
        in_progress: Tasks at once: rate x seconds.
        one_at_a_time: Invocations at once where each has one task.
        full_batches: Where each has as many as it may.
        expected: With the lane's maximum as it is set.
        batch: Tasks of an invocation then, on average.
        invocation_seconds: How long one lasts then.
        used: Share of what the lane can do in full batches; 1 and more cannot be carried.
        recommended: The least maximum that leaves headroom.
        ramp: To `full_batches`, as mappings are by default.
        own_pollers: The same with pollers of its own, which excludes a maximum.
    """

    in_progress: float
    one_at_a_time: float
    full_batches: float
    expected: float
    batch: float
    invocation_seconds: float
    used: float
    recommended: int
    ramp: Ramp
    own_pollers: Ramp


def of_lane(load: LaneLoad, lane: LaneShape) -> LaneConcurrency:
    """Little's law for one lane: what is at once is the rate times how long each takes."""
    in_progress = load.per_second * load.seconds
    full = load.per_second * load.batch_seconds / lane.batch_size
    most = min(lane.maximum_concurrency, quotas.MAPPING_CONCURRENCY.default)
    # With fewer invocations than tasks at once, each has the more of them, and lasts as long as its slowest.
    batch = min(max(in_progress / most, 1.0), float(lane.batch_size))
    seconds = load.seconds + (load.batch_seconds - load.seconds) * (batch - 1) / max(lane.batch_size - 1, 1)
    return LaneConcurrency(
        in_progress=in_progress,
        one_at_a_time=in_progress,
        full_batches=full,
        expected=min(load.per_second * seconds / batch, float(most)),
        batch=batch,
        invocation_seconds=seconds,
        used=full / most,
        recommended=max(2, whole(full / HEADROOM)),
        ramp=_ramp(full, load, lane, quotas.MAPPING_FIRST, quotas.MAPPING_RAMP_PER_MINUTE),
        own_pollers=_ramp(
            full,
            load,
            lane,
            quotas.POLLERS_FIRST * quotas.POLLER_CONCURRENCY,
            quotas.POLLERS_RAMP_PER_MINUTE,
        ),
    )


def whole(amount: float) -> int:
    """Rounded up, whatever binary fractions add."""
    return math.ceil(round(amount, 6))


def _ramp(needed: float, load: LaneLoad, lane: LaneShape, first: int, per_minute: int) -> Ramp:
    mapping = max(needed - first, 0.0) / per_minute * 60
    environments = needed / quotas.ENVIRONMENTS.default
    seconds = max(mapping, environments)
    # Meanwhile it works off what its invocations so far can, which grow evenly from the first to all.
    begins = min(first, needed) if mapping >= environments else 0.0
    done = seconds * (begins + needed) / 2 * lane.batch_size / load.batch_seconds if load.batch_seconds else 0.0
    return Ramp(
        seconds=seconds,
        backlog=max(load.per_second * seconds - done, 0.0),
        bound_by="mapping" if mapping >= environments else "environments",
    )


def tasks_per_second(lane: LaneShape, seconds: float) -> float:
    """The most that a lane can do of tasks that take so long."""
    return lane.maximum_concurrency * lane.batch_size / seconds
