"""What cannot work of a declared load: `[load.<lane>]` against the lanes, limits and keys that it meets.

Each mistake names the key to change and the numbers behind it. What AWS has to be asked for is no mistake here,
nor what rests on times that were measured elsewhere: `flotilla plan` says both.
"""

from __future__ import annotations

from collections.abc import Iterator

from capacity.concurrency import HEADROOM, of_lane
from capacity.demand import Demand
from capacity.fleet_shape import LaneLoad, LaneShape
from capacity.planning import plan
from capacity.quotas import PARTITION_WRITES
from stacks.capacity_shape import declared_loads, shape_of
from stacks.integration_settings import Rate
from stacks.load_settings import Load
from stacks.settings_model import Fleet

API_BATCH = 100
"""Tasks of one call of the API, at the most; it draws on each limit once."""

Mistake = tuple[tuple[str, ...], str]


def mistakes(fleet: Fleet) -> Iterator[Mistake]:
    """What is wrong with what is declared: the key, and what is allowed."""
    yield from _hot_limits(fleet)
    unknown = False
    for name, declared in fleet.load.items():
        for mistake in _unknown(fleet, name, declared):
            unknown = True
            yield mistake
    if unknown or not fleet.load:
        return
    shape = shape_of(fleet)
    loads = declared_loads(fleet)
    for load in loads:
        yield from _of_lane(load, shape.lanes[load.lane])
    said = {f"lane {load.lane}: {what}" for load in loads for what in _SAID_OF_LANES}
    for demand in plan(shape, loads).demands:
        if demand.verdict == "cannot" and not demand.estimated and demand.what not in said:
            yield _path(demand, loads), _message(demand)


_SAID_OF_LANES = ("invocations at once, in full batches", "sessions, each one task after the other")


def _unknown(fleet: Fleet, name: str, load: Load) -> Iterator[Mistake]:
    path = ("load", name)
    if name not in fleet.lanes:
        yield path, f"no lane is named {name!r}; allowed: {', '.join(sorted(fleet.lanes))}"
        return
    if load.model is not None and load.model not in fleet.models:
        known = ", ".join(sorted(fleet.models)) or "there is no [models.<name>]"
        yield (*path, "model"), f"no model is named {load.model!r}; allowed: {known}"
    for integration in load.integration_calls:
        if integration not in fleet.integrations:
            known = ", ".join(sorted(fleet.integrations)) or "there is no [integrations.<name>]"
            yield (*path, "integration_calls"), f"no integration is named {integration!r}; allowed: {known}"


def _of_lane(load: LaneLoad, lane: LaneShape) -> Iterator[Mistake]:
    path = ("load", load.lane)
    if load.batch_seconds >= lane.timeout_seconds:
        key = "seconds" if load.slowest_seconds is None else "slowest_seconds"
        yield (
            (*path, key),
            (
                f"must be below lanes.{load.lane}.timeout_seconds ({lane.timeout_seconds}), "
                f"not {load.batch_seconds:g}: an invocation lasts as long as its slowest task"
            ),
        )
    found = of_lane(load, lane)
    if found.used > 1:
        can = lane.maximum_concurrency * lane.batch_size / load.batch_seconds * 60
        yield (
            (*path, "rate_per_minute"),
            (
                f"{load.rate_per_minute:,.0f} tasks a minute of {load.seconds:g} s are {found.in_progress:,.0f} "
                f"at once, which is {found.full_batches:,.0f} invocations with full batches of {lane.batch_size}; "
                f"lanes.{load.lane}.maximum_concurrency = {lane.maximum_concurrency} carries {can:,.0f} a minute at "
                f"the most. Needed: {_needed(found.recommended)}, or {can * HEADROOM:,.0f} tasks a minute"
            ),
        )
    if load.sessions and found.in_progress > load.sessions:
        each = found.in_progress / load.sessions
        yield (
            (*path, "sessions"),
            (
                f"{load.rate_per_minute:,.0f} tasks a minute of {load.seconds:g} s in {load.sessions:,} sessions are "
                f"{each:.2f} at once in each, and a session's tasks run one after the other. "
                f"Needed: at least {found.in_progress / HEADROOM:,.0f} sessions"
            ),
        )


def _needed(recommended: int) -> str:
    if recommended <= 1000:
        return f"maximum_concurrency = {recommended:,}"
    lanes = -(-recommended // 1000)
    return f"{recommended:,} invocations at once, so {lanes} lanes (a mapping has 1,000 at the most)"


def _path(demand: Demand, loads: list[LaneLoad]) -> tuple[str, ...]:
    """The key to blame: the load's, since what is too low for it is fine for less."""
    lane = next((load.lane for load in loads if f"lane {load.lane}:" in demand.what), loads[0].lane)
    return ("load", lane, "rate_per_minute")


def _message(demand: Demand) -> str:
    allowed = f"{demand.setting} allows" if demand.setting else "it takes"
    return (
        f"{demand.what}: the load needs {demand.needed:,.0f} {demand.unit}, {allowed} {demand.available:,.0f}. "
        f"Needed: {demand.remedy}"
    )


def _hot_limits(fleet: Fleet) -> Iterator[Mistake]:
    """Each call that submits is one write to each bucket that it draws on, and a bucket is one key."""
    most = round(PARTITION_WRITES.default) * API_BATCH * 60
    limits: dict[tuple[str, ...], Rate | None] = {
        ("limits", "client", "rate_per_minute"): fleet.limits.client,
        ("limits", "tenant", "rate_per_minute"): fleet.limits.tenant,
        **{("agents", name, "limit", "rate_per_minute"): agent.limit for name, agent in fleet.agents.items()},
    }
    for path, limit in limits.items():
        if limit is not None and limit.rate_per_minute > most:
            yield (
                path,
                (
                    f"must be at most {most:,}, not {limit.rate_per_minute:,}: each call draws on it by a write, "
                    f"one key takes {PARTITION_WRITES.default:,} a second, and a call has {API_BATCH} tasks at the most"
                ),
            )
