"""What a load asks of each thing that has a limit: of a lane, a queue, a table, a single key, an account.

Each is one `Demand`: what is needed, what is there, who sets that, and what to do about it. All rates are a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from capacity import quotas, shared_demands, task_units
from capacity.concurrency import LaneConcurrency
from capacity.delays import hops
from capacity.demand import Demand, asked
from capacity.fleet_shape import FleetShape, LaneLoad
from capacity.keys import busiest_keys


def way_of(load: LaneLoad, fleet: FleetShape, found: LaneConcurrency, all_per_second: float) -> task_units.Way:
    """How a task of the load goes; the stream's records are gathered with those of all others."""
    lane = fleet.lanes[load.lane]
    records = max(all_per_second, 1e-9) * task_units.EVENTS
    seconds = found.invocation_seconds
    # An environment reads them at the start of an invocation and before each call, once a second at the most.
    asked = 1 + load.model_calls * found.batch + sum(load.integration_calls.values()) * found.batch
    return task_units.Way(
        submit_batch=load.submit_batch if load.through_api else 0,
        batch=found.batch,
        seconds=seconds,
        span_seconds=load.seconds,
        stream_lanes=shared_demands.stream_lanes(records),
        records_per_second=records,
        payload_bytes=load.payload_bytes,
        memory_mb=lane.memory_mb,
        api_memory_mb=fleet.api_memory_mb,
        background_memory_mb=fleet.background_memory_mb,
        transitions=0.0 if load.through_api else 1.0,
        pause_reads=min(asked, max(seconds, task_units.LEAST_PAUSE_READS)),
        architecture=fleet.architecture,
    )


def demands(
    fleet: FleetShape,
    loads: Sequence[LaneLoad],
    found: Mapping[str, LaneConcurrency],
    ways: Mapping[str, task_units.Way],
) -> list[Demand]:
    """All of them, the most used first."""
    every = [
        *(demand for load in loads for demand in _of_lane(fleet, load, found[load.lane], ways[load.lane])),
        *shared_demands.of_account(fleet, loads, found, ways),
        *shared_demands.of_api(fleet, loads),
        *shared_demands.of_tables(loads, ways),
        *shared_demands.of_models(fleet, loads),
        *shared_demands.of_workflows(loads),
        *(
            Demand(key.key, "dynamodb", key.needed, key.quota.default, key.quota.unit, None, key.quota, key.remedy)
            for key in busiest_keys(fleet, loads, found, ways)
        ),
    ]
    return sorted((each for each in every if each.needed > 0), key=lambda each: -each.used)


def _of_lane(fleet: FleetShape, load: LaneLoad, found: LaneConcurrency, way: task_units.Way) -> Iterator[Demand]:
    lane = fleet.lanes[load.lane]
    name = f"lane {load.lane}"
    more = found.recommended
    yield Demand(
        f"{name}: invocations at once, in full batches",
        "lambda",
        found.full_batches,
        lane.maximum_concurrency,
        "invocations",
        f"lanes.{load.lane}.maximum_concurrency",
        quotas.MAPPING_CONCURRENCY,
        f"lanes.{load.lane}.maximum_concurrency = {more}"
        if more <= quotas.MAPPING_CONCURRENCY.default
        else "more lanes: one mapping runs 1,000 invocations at once",
        more if more <= quotas.MAPPING_CONCURRENCY.default else None,
    )
    if load.sessions:
        yield Demand(
            f"{name}: sessions, each one task after the other",
            "sqs",
            load.per_second * load.seconds,
            load.sessions,
            "tasks at once",
            f"load.{load.lane}.sessions",
            None,
            "more sessions, or tasks without one: a message group is worked off in order",
        )
    groups = load.sessions or load.per_second * max(load.seconds, 1.0)
    yield Demand(
        f"{name}: sends to one message group",
        "sqs",
        load.per_second / max(groups, 1.0),
        quotas.FIFO_PARTITION_CALLS,
        "calls a second",
        None,
        quotas.Quota("sqs", "Calls of one partition", 300, "partition", "calls a second", adjustable=False),
        "more sessions, or submit in batches",
    )
    calls = load.per_second * max(1 / way.batch, calls_of_a_send(load))
    yield Demand(
        f"{name}: calls to its queue, the busiest action",
        "sqs",
        calls,
        quotas.FIFO_CALLS.default,
        "calls a second",
        None,
        quotas.FIFO_CALLS,
        "raise the quota, or more lanes",
        asked(calls),
    )
    yield Demand(
        f"{name}: messages in flight",
        "sqs",
        load.per_second * load.batch_seconds,
        quotas.FIFO_IN_FLIGHT.default,
        "messages",
        None,
        quotas.FIFO_IN_FLIGHT,
        "more lanes: what is in flight, one queue has room for 120,000",
    )
    yield Demand(
        f"{name}: invocations started, in full batches",
        "lambda",
        load.per_second / lane.batch_size,
        quotas.INVOKES_PER_EXECUTION * lane.maximum_concurrency,
        "invocations a second",
        f"lanes.{load.lane}.maximum_concurrency",
        None,
        "a higher maximum: ten invocations a second for each that may run",
    )
    yield from _of_delays(fleet, load)


def calls_of_a_send(load: LaneLoad) -> float:
    """Calls to the queue by which a task is sent: a batch of ten shares one."""
    return 1.0 if load.submit_batch == 1 or not load.through_api else 1 / min(load.submit_batch, task_units.SEND_BATCH)


def _of_delays(fleet: FleetShape, load: LaneLoad) -> Iterator[Demand]:
    delayed = load.per_second * load.delayed_share
    if not delayed:
        return
    path = hops(fleet.tiers_seconds, load.delay_seconds)
    held = max((seconds for _, seconds in path), default=0.0)
    yield Demand(
        f"delays of lane {load.lane}: messages held in place",
        "sqs",
        delayed * held,
        quotas.FIFO_IN_FLIGHT.default,
        "messages",
        None,
        quotas.FIFO_IN_FLIGHT,
        f"a tier in delays.tiers_seconds that ends nearer to {load.delay_seconds:g} s: what is held there is in flight",
    )
    busiest = max((sum(1 for tier, _ in path if tier == each) for each in fleet.tiers_seconds), default=0)
    seconds = task_units.relay_seconds(fleet.background_memory_mb)
    yield Demand(
        f"delays of lane {load.lane}: invocations of the relay at once, busiest tier",
        "lambda",
        delayed * 2 * busiest / task_units.SEND_BATCH * seconds,
        fleet.relay_concurrency,
        "invocations",
        "delays.maximum_concurrency",
        None,
        "raise delays.maximum_concurrency",
        estimated=True,
    )
