"""What the loads of all lanes together ask of what they share: the account, the API, tables, models, Step Functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from capacity import quotas, task_units
from capacity.concurrency import HEADROOM, LaneConcurrency, whole
from capacity.demand import Demand, asked, rounded
from capacity.fleet_shape import FleetShape, LaneLoad


def stream_lanes(records_per_second: float) -> float:
    """Batches of the stream at once: it has a shard for each partition of the table."""
    shards = max(quotas.NEW_TABLE_PARTITIONS, -(-records_per_second // quotas.PARTITION_WRITES.default))
    return shards * task_units.STREAM_BATCHES_AT_ONCE


def of_account(
    fleet: FleetShape,
    loads: Sequence[LaneLoad],
    found: Mapping[str, LaneConcurrency],
    ways: Mapping[str, task_units.Way],
) -> Iterator[Demand]:
    """Concurrent executions of the account, and what has to do with what no lane reserves."""
    lanes, roomy = (
        sum(
            max(lane.reserved_concurrency, whole(found[name].full_batches / share) if name in found else 0)
            for name, lane in fleet.lanes.items()
        )
        for share in (1.0, HEADROOM)
    )
    answering = sum(
        load.per_second / load.submit_batch * task_units.api_seconds(ways[load.lane]) * 2
        for load in loads
        if load.through_api
    )
    following = sum(load.per_second * task_units.projector_seconds(ways[load.lane]) for load in loads)
    unreserved = quotas.UNRESERVED_EXECUTIONS
    needed = lanes + fleet.other_reserved + unreserved
    # Twice what they take on average: requests come in clusters.
    wanted = roomy + fleet.other_reserved + max(unreserved, 2 * (answering + following))
    yield Demand(
        "account: concurrent executions",
        "lambda",
        needed,
        fleet.account_concurrency,
        "invocations",
        "runtime.account_concurrency",
        quotas.CONCURRENT_EXECUTIONS,
        f"ask AWS for {rounded(wanted)} concurrent executions, and say so in runtime.account_concurrency",
        rounded(wanted),
    )
    reserved = sum(lane.reserved_concurrency for lane in fleet.lanes.values()) + fleet.other_reserved
    yield Demand(
        "account: API and projector at once, beside what is reserved",
        "lambda",
        2 * (answering + following),
        max(fleet.account_concurrency - reserved, unreserved),
        "invocations",
        "runtime.account_concurrency",
        quotas.CONCURRENT_EXECUTIONS,
        f"ask AWS for {rounded(wanted)} concurrent executions, and say so in runtime.account_concurrency",
        rounded(wanted),
        estimated=True,
    )
    records = sum(load.per_second for load in loads) * task_units.EVENTS
    yield Demand(
        "projector: batches of the stream at once",
        "lambda",
        following,
        stream_lanes(records),
        "invocations",
        "background.memory_mb",
        None,
        "raise background.memory_mb: the projector's time is the processor's, of which it has a share by its memory",
        estimated=True,
    )


def of_api(fleet: FleetShape, loads: Sequence[LaneLoad]) -> Iterator[Demand]:
    """Requests to the API, and what tenants may submit."""
    requests = sum(load.per_second / load.submit_batch for load in loads if load.through_api)
    yield Demand(
        "API: requests",
        "apigateway",
        requests,
        fleet.api_rate_per_second,
        "requests a second",
        "api.rate_per_second",
        None,
        f"api.rate_per_second = {asked(requests)}, or submit up to 100 tasks a call",
        asked(requests),
    )
    yield Demand(
        "account: requests to HTTP APIs",
        "apigateway",
        requests,
        quotas.API_REQUESTS.default,
        "requests a second",
        None,
        quotas.API_REQUESTS,
        f"ask AWS for {asked(requests)} requests a second, or submit up to 100 tasks a call",
        asked(requests),
    )
    if fleet.tenant_rate_per_minute is not None:
        busiest = max((load.rate_per_minute / load.tenants for load in loads if load.through_api), default=0.0)
        yield Demand(
            "limit of a tenant: tasks submitted",
            "flotilla",
            busiest / 60,
            fleet.tenant_rate_per_minute / 60,
            "tasks a second",
            "limits.tenant.rate_per_minute",
            None,
            f"limits.tenant.rate_per_minute = {asked(busiest)}",
            asked(busiest),
        )


def of_tables(loads: Sequence[LaneLoad], ways: Mapping[str, task_units.Way]) -> Iterator[Demand]:
    """Units of each table, and objects of the archive."""
    events = sum(load.per_second * task_units.write_units(ways[load.lane]) for load in loads)
    views = sum(load.per_second * task_units.entries(ways[load.lane]) for load in loads)
    reads = sum(load.per_second * ways[load.lane].pause_reads / ways[load.lane].batch for load in loads)
    for table, needed, quota in (
        ("events", events, quotas.TABLE_WRITES),
        ("views", views, quotas.TABLE_WRITES),
        ("control", reads, quotas.TABLE_READS),
    ):
        yield Demand(
            f"table {table}: {quota.unit.removesuffix(' a second')}",
            "dynamodb",
            needed,
            quota.default,
            quota.unit,
            None,
            quota,
            f"ask AWS for {asked(needed)} {quota.unit}, and warm the table before the load comes",
            asked(needed),
        )
    puts = sum(load.per_second * task_units.projector_batches(ways[load.lane]) for load in loads)
    yield Demand(
        "archive: objects of an hour",
        "s3",
        puts,
        quotas.PREFIX_PUTS.default,
        "puts a second",
        None,
        quotas.PREFIX_PUTS,
        "a longer window of the projector",
    )


def of_models(fleet: FleetShape, loads: Sequence[LaneLoad]) -> Iterator[Demand]:
    """Calls and tokens of models, calls of integrations."""
    for name, model in fleet.models.items():
        calls = sum(load.rate_per_minute * load.model_calls for load in loads if load.model == name)
        tokens = sum(
            load.rate_per_minute * load.model_calls * (load.input_tokens + load.output_tokens)
            for load in loads
            if load.model == name
        )
        for key, needed, available in (
            ("requests", calls, model.requests_per_minute),
            ("tokens", tokens, model.tokens_per_minute),
        ):
            if available is not None:
                yield Demand(
                    f"model {name}: {key}",
                    "flotilla",
                    needed,
                    available,
                    f"{key} a minute",
                    f"models.{name}.{key}.rate_per_minute",
                    None,
                    f"a higher quota of the provider and models.{name}.{key}, or more models in the route",
                    asked(needed),
                )
    for name, integration in fleet.integrations.items():
        calls = sum(load.rate_per_minute * load.integration_calls.get(name, 0.0) for load in loads)
        if integration.rate_per_minute is not None:
            yield Demand(
                f"integration {name}: calls",
                "flotilla",
                calls,
                integration.rate_per_minute,
                "calls a minute",
                f"integrations.{name}.limit.rate_per_minute",
                None,
                "a higher limit, if the other side bears it",
                asked(calls),
            )


def of_workflows(loads: Sequence[LaneLoad]) -> Iterator[Demand]:
    """Executions, transitions and answers of Step Functions."""
    steps = sum(load.per_second for load in loads if not load.through_api)
    runs = sum(load.per_second / load.tasks_per_run for load in loads if not load.through_api)
    for what, needed, quota in (
        ("executions started", runs, quotas.START_EXECUTION),
        ("state transitions", steps, quotas.STATE_TRANSITIONS),
        ("answers to states", steps, quotas.TASK_ANSWERS),
    ):
        yield Demand(
            f"workflows: {what}",
            "states",
            needed,
            quota.default,
            quota.unit,
            None,
            quota,
            f"ask AWS for {asked(needed)} {quota.unit}",
            asked(needed),
        )
